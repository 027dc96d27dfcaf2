//go:build tools

// Package tools pins the commands that the local cluster builds.
package tools

import (
	_ "istio.io/istio/pilot/cmd/pilot-discovery"
)
