-- what: a pack item that pads to a gigabyte
-- expect: exit=4 limit=memory
print(#string.pack("c1000000000", "x"))
