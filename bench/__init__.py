"""The figures that the controller is held to, measured on real parts.

`python -m bench [KEY ...]` brings up a local cluster of its own with istiod's default debounce, measures,
prints a table and writes `bench/results.json`. Nothing is derived from constants: requests are counted at the
client, calls in the API server's audit log, pods and shares from watches.

    figures.py    what is to be reached
    scenes/       how each of them is measured, one file each
    lab.py        cluster, controller and clocks that the scenes share
    shop.py       one service under release, with its watches
    recorder.py   watches, history.py what is read off them, audit.py the API server's log
    report.py     table and file
"""
