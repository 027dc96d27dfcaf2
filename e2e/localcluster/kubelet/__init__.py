"""The process kubelet: runs each container's command as a local process on the pod's own address.

No image is pulled; an image is only a name, save that one whose tag is `missing` is never to be had
(ImagePullBackOff), so that pods which never come up can be made. `python3` as a command is the interpreter
that runs the kubelet. A container must bind the pod's address, given as POD_IP: all pods share one network
namespace.

Honoured: env (values, downward API, ConfigMap and Secret keys), command and args with $(NAME), workingDir,
readiness and liveness probes (httpGet, tcpSocket), preStop (sleep, exec), terminationGracePeriodSeconds,
restartPolicy with exponential backoff, nodeSelector. Not there: init containers, volumes, resources.
"""
