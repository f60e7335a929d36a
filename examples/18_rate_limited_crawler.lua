-- A crawler over an in-process site: three workers, two requests a second, each page once.
-- Run: python -m scheduler --virtual-clock examples/18_rate_limited_crawler.lua

local site = {
  ["/"] = { "/docs", "/blog", "/about" },
  ["/docs"] = { "/", "/docs/tasks", "/docs/channels" },
  ["/docs/tasks"] = { "/docs", "/docs/channels" },
  ["/docs/channels"] = { "/docs/tasks", "/missing" },
  ["/blog"] = { "/blog/1", "/blog/2", "/about" },
  ["/blog/1"] = { "/blog" },
  ["/blog/2"] = { "/blog", "/blog/1" },
  ["/about"] = {},
}

-- Stands for a request that takes its time. Expected failures are values.
local function get(url)
  task.sleep(0.7)
  local links = site[url]
  if not links then
    return nil, "not found"
  end
  return links
end

local limiter = sync.rate_limiter({ per_second = 2, burst = 1 })
local queue = channel.new(math.huge, "queue")
local pending, seen = 0, {}

local function enqueue(url)
  if not seen[url] then
    seen[url] = true
    pending = pending + 1
    queue:send(url)
  end
end

local function crawl(worker)
  for url in queue:iter() do
    limiter:acquire()
    local asked = task.now()
    local links, why = get(url)
    print(("%4.1f s  worker %d  %-15s %s"):format(asked, worker, url, why or #links .. " links"))
    for _, link in ipairs(links or {}) do
      enqueue(link)
    end
    pending = pending - 1
    if pending == 0 then
      queue:close() -- nothing is queued and nobody works: the others' loops end
    end
  end
end

enqueue("/")
task.scope(function(scope)
  for worker = 1, 3 do
    scope:spawn(crawl, worker)
  end
end)

local pages = 0
for _ in pairs(seen) do
  pages = pages + 1
end
print(("%d pages in %.1f s"):format(pages, task.now()))
