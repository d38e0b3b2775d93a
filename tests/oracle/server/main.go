// Command server starts an OSS server for the Node tests: it prints the endpoint and ends when its input does.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/ossfs/ossfs/internal/ossserver"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	s, err := ossserver.New(ossserver.Options{Keys: []ossserver.Key{
		{ID: "test-id", Secret: "test-secret"},
		{ID: "STS.id", Secret: "sts-secret", Token: "token/with+signs="},
	}})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.CreateBucket("test"); err != nil {
		return err
	}
	endpoint, err := s.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(endpoint)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
