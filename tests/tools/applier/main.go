// Sends server-side applies as fast as an API server takes them: the floor under any GitOps operator.
//
//	applier --server URL --token T --ca FILE [--connections 16] [--query 'dryRun=All'] < requests
//
// A request is a line of JSON: {"path": "/api/v1/...", "body": {...}}. All are read before the clock starts. Prints
// {"seconds": ..., "sent": ..., "failed": ..., "error": "first failure"}; exit status 1 if any failed.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

type request struct {
	Path string          `json:"path"`
	Body json.RawMessage `json:"body"`
}

func main() {
	server := flag.String("server", "", "")
	token := flag.String("token", "", "")
	ca := flag.String("ca", "", "")
	connections := flag.Int("connections", 16, "")
	query := flag.String("query", "", "")
	manager := flag.String("manager", "floor", "")
	flag.Parse()

	pem, err := os.ReadFile(*ca)
	check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{
		// Setting this keeps Go from HTTP/2, so that each connection carries one request at a time.
		TLSClientConfig:     &tls.Config{RootCAs: pool},
		MaxIdleConnsPerHost: *connections,
		MaxConnsPerHost:     *connections,
	}}
	requests := read()
	suffix := "?fieldManager=" + *manager + "&force=true"
	if *query != "" {
		suffix += "&" + *query
	}

	var next, failed atomic.Int64
	var once sync.Once
	var first string
	var wait sync.WaitGroup
	start := time.Now()
	for range make([]struct{}, *connections) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := next.Add(1) - 1; int(i) < len(requests); i = next.Add(1) - 1 {
				if err := send(client, *server+requests[i].Path+suffix, *token, requests[i].Body); err != nil {
					failed.Add(1)
					once.Do(func() { first = err.Error() })
				}
			}
		}()
	}
	wait.Wait()
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"seconds": time.Since(start).Seconds(), "sent": len(requests), "failed": failed.Load(), "error": first})
	if failed.Load() > 0 {
		os.Exit(1)
	}
}

func read() []request {
	var requests []request
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r request
		check(json.Unmarshal(lines.Bytes(), &r))
		requests = append(requests, r)
	}
	check(lines.Err())
	return requests
}

func send(client *http.Client, url, token string, body []byte) error {
	r, err := http.NewRequest(http.MethodPatch, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/apply-patch+yaml")
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s: %d %.300s", url, answer.StatusCode, content)
	}
	return err
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "applier:", err)
		os.Exit(2)
	}
}
