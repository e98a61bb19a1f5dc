-- One product in COUNT for each request, at random; PREFIX and TOKEN say which
-- and by whom. The figures go to stderr as a line of JSON.
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

local requests = {}

function init()
  math.randomseed(number)
  wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")
  for n = 1, tonumber(os.getenv("COUNT")) do
    requests[n] = wrk.format("GET", string.format(os.getenv("PREFIX"), n - 1))
  end
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency)
  local e = summary.errors
  io.stderr:write(string.format(
    '{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.timeout))
end
