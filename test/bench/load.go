package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// target is a server and the bytes of the request that it is sent. The client is
// lean on purpose: it must not be what is measured.
type target struct {
	address string
	request []byte
}

func newTarget(address, key string) target {
	host := strings.TrimPrefix(address, "http://")
	const body = `{"name":"John"}`
	request := "POST /v1/helloworld/call HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	if key != "" {
		request += "Authorization: Bearer " + key + "\r\n"
	}
	return target{address: host, request: []byte(request + "\r\n" + body)}
}

// connection is one keep-alive connection.
type connection struct {
	net.Conn
	reader  *bufio.Reader
	request []byte
}

func (t target) dial() (*connection, error) {
	c, err := net.Dial("tcp", t.address)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: c, reader: bufio.NewReader(c), request: t.request}, nil
}

// call sends the request and reads the answer; anything but 200 is an error.
func (c *connection) call() error {
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	status, err := c.reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(status) < 12 || string(status[9:12]) != "200" {
		rest, _ := c.reader.Peek(c.reader.Buffered())
		return fmt.Errorf("answered %s%s", status, rest)
	}
	length := 0
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if line[0] == 'C' && strings.HasPrefix(string(line), "Content-Length: ") {
			if length, err = strconv.Atoi(strings.TrimSpace(string(line[16:]))); err != nil {
				return err
			}
		}
	}
	_, err = io.CopyN(io.Discard, c.reader, int64(length))
	return err
}

// throughput is how many calls a second clients connections get that each ask
// again as soon as they are answered.
func (t target) throughput(clients int, length time.Duration) (float64, error) {
	var wait sync.WaitGroup
	counts, errs := make([]int, clients), make([]error, clients)
	begun := time.Now()
	for i := range clients {
		wait.Go(func() {
			c, err := t.dial()
			if err != nil {
				errs[i] = err
				return
			}
			defer c.Close()
			for time.Since(begun) < length {
				if errs[i] = c.call(); errs[i] != nil {
					return
				}
				counts[i]++
			}
		})
	}
	wait.Wait()
	total := 0
	for i, n := range counts {
		if errs[i] != nil {
			return 0, errs[i]
		}
		total += n
	}
	return float64(total) / time.Since(begun).Seconds(), nil
}

// latencies are the answers' delays at a fixed rate, sorted. Each connection keeps
// its own times, and a delay counts from the moment at which the request was due,
// so that a slow answer delays nobody's clock.
func (t target) latencies(rate float64, clients int, length time.Duration) ([]time.Duration, error) {
	var wait sync.WaitGroup
	delays, errs := make([][]time.Duration, clients), make([]error, clients)
	every := time.Duration(float64(clients) / rate * float64(time.Second))
	begun := time.Now().Add(10 * time.Millisecond)
	for i := range clients {
		c, err := t.dial()
		if err != nil {
			return nil, err
		}
		wait.Go(func() {
			defer c.Close()
			first := begun.Add(every * time.Duration(i) / time.Duration(clients))
			for due := first; due.Sub(begun) < length; due = due.Add(every) {
				time.Sleep(time.Until(due))
				if errs[i] = c.call(); errs[i] != nil {
					return
				}
				delays[i] = append(delays[i], time.Since(due))
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	all := slices.Concat(delays...)
	slices.Sort(all)
	return all, nil
}
