"""`make demo`: a good release promoted, two bad ones reverted, and the way back, on real parts, under load.

`setting` brings everything up, with `stage` for demo/*.yaml and `controller` for the controller's process;
`story` releases one version after the other. `observer` sees what happens, `watch` follows a release with it,
`screen` shows that, `record` and `summary` say at the end what it came to, `rest` compares the cluster with
demo/*.yaml. `image` is what runs in the pods.
"""
