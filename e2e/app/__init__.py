"""The demo application: an HTTP service whose version, errors, latency and health are set from outside.

On PORT (8080) of its pod's address it answers every path with its version and pod, in headers (x-version,
x-pod) and body; GET /healthz is its readiness. On METRICS_PORT (15020) it plays the sidecar that the local
cluster's pods do not have: GET /stats/prometheus gives `istio_requests_total` and
`istio_request_duration_milliseconds` as a sidecar's proxy would. It is a stand-in: it counts in the
application itself, so a request that never reaches the pod is seen by nobody, as with reporter="destination".

On TCP_PORT, if that is set, it waits for the first bytes of a connection, answers with one line, its version
and pod, and ends it; on TLS_PORT it does the same in TLS, as TLS_CERTIFICATE with TLS_KEY (files in PEM).

Behaviour comes from the environment; POST to METRICS_PORT changes it while the pod runs.

| variable | meaning | default |
|---|---|---|
| VERSION | what it says it is | v1 |
| ERROR_RATE | share of requests answered with ERROR_STATUS, 0 to 1 | 0 |
| ERROR_STATUS | the status of an error | 500 |
| ERROR_PATTERN | `even`: every 1/rate-th request, exactly; `random`: each by chance | even |
| ERRORS_AFTER | seconds after the start before errors begin | 0 |
| LATENCY_MS | time of every answer | 0 |
| LATENCY_P50_MS, LATENCY_P99_MS | instead: a log-normal distribution with these | |
| LATENCY_LIST_MS | instead: these times in turn, with commas | |
| SEED | of what is random | the pod's name |
| CRASH_AFTER | seconds after which it ends with CRASH_STATUS | never |
| CRASH_AFTER_REQUESTS | requests after which it does | never |
| CRASH_STATUS | exit status of a crash | 1 |
| READY_AFTER, UNREADY_AFTER | seconds after which /healthz begins, or ceases, to answer 200 | 0, never |
| SERVICE | the service that the metrics name | the workload |
| WORKLOAD | the workload that the metrics name | from pod name and pod-template-hash |

POST /-/ready, /-/unready, /-/crash, and /-/set?error_rate=0.2&latency_ms=5 (any variable, in lower case).
"""
