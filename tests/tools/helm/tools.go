//go:build tools

// Package tools pins the helm binary that the charts are installed with in tests.
package tools

import (
	_ "helm.sh/helm/v3/cmd/helm"
)
