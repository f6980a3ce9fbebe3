-- One request again and again; CALL_HEADERS has a "Name: value" a line. Prints what was seen as one line of JSON.
wrk.method = "POST"
wrk.body = os.getenv("CALL_BODY")
for name, value in string.gmatch(os.getenv("CALL_HEADERS"), "([^:\n]+): ([^\n]+)") do wrk.headers[name] = value end

done = function(summary, latency)
  local faults = summary.errors
  io.write(string.format('\n{"requests":%d,"seconds":%f,"faults":%d,"p50":%f,"p99":%f}\n', summary.requests, summary.duration / 1e6,
    faults.connect + faults.read + faults.write + faults.status + faults.timeout, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
