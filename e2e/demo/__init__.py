"""`make demo`: a good release promoted and two bad ones reverted, on a real cluster, under load.

`story` tells it in order; `stage` sets it up; `controller` is the controller's own process; `observer` sees
what happens, `screen` shows it, `record` and `summary` say at the end what it came to, and `rest` compares the
cluster with demo/*.yaml. `image` is what runs in the pods.
"""
