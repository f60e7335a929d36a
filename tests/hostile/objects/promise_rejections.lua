-- what: a hundred thousand rejections that nobody handles
-- expect: exit=1|4 limit=cpu|memory
for i = 1, 100000 do
  promise.reject("reason " .. i)
end
