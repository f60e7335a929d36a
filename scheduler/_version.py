"""The version, alone, so that building needs no import of the rest."""

VERSION = "0.1.0"
