//go:build tools

// Package tools pins the upstream kustomize-controller that the
// interoperability tests and the fleet benchmark run beside ours.
package tools

import (
	_ "github.com/fluxcd/kustomize-controller"
)
