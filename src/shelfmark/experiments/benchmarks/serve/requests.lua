-- What wrk sends, and the figures that it prints: the arguments are the file of the bodies, a line
-- each, which are posted in turn. Without a file, wrk sends GET.

local requests, place = {}, 0

function init(arguments)
    if not arguments[1] then
        requests[1] = wrk.format()
        return
    end
    local headers = {["Content-Type"] = "application/json"}
    for body in io.lines(arguments[1]) do
        requests[#requests + 1] = wrk.format("POST", nil, headers, body)
    end
end

function request()
    place = place % #requests + 1
    return requests[place]
end

-- Times are microseconds.
function done(summary, latency)
    local errors = summary.errors
    local line = '{"requests":%d,"duration":%d,"p50":%d,"p99":%d,"status":%d,"timeout":%d,"socket":%d}'
    io.write(line:format(
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.status, errors.timeout, errors.connect + errors.read + errors.write
    ), "\n")
end
