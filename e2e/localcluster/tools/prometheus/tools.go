//go:build tools

// Package tools pins the commands that the local cluster builds.
package tools

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
)
