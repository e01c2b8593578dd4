//go:build tools

// Package tools pins the kustomize binary that the differential tests compare
// our engine with.
package tools

import (
	_ "sigs.k8s.io/kustomize/kustomize/v5"
)
