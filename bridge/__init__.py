"""The boundary between Python and Lua: the only package that knows lupa, greenlet and ctypes.

`vm` (lupa), `capi` (ctypes), `portal` (greenlet), `convert`, `errors`, `host`, `watchdog`.
Imports point one way: scheduler -> bridge -> stdlib_lua.
"""
