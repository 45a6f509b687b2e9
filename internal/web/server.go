package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// Server is the HTTP port.
type Server struct {
	http     *http.Server
	listener net.Listener
	done     chan error
}

// Listen opens the port, such as ":8080" or "127.0.0.1:0". Requests wait until
// Start; they come by HTTP/1.1 or, as those of gRPC do, by HTTP/2 without TLS. Its
// error is a sentence for an operator.
func Listen(ctx context.Context, address string, log *slog.Logger) (*Server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program: choose another address with --listen", address)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("listening on %s is not permitted: choose a port above 1023 with --listen", address)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s (use host:port or :port): %w", address, err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &Server{
		listener: listener,
		done:     make(chan error, 1),
		http: &http.Server{
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    64 << 10,
			Protocols:         protocols,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // clients that break the protocol
		},
	}, nil
}

// Addr is where the server listens.
func (s *Server) Addr() *net.TCPAddr { return s.listener.Addr().(*net.TCPAddr) }

// Start serves until Stop. Failed tells when it ends by itself.
func (s *Server) Start(h http.Handler) {
	s.http.Handler = h
	go func() {
		err := s.http.Serve(s.listener)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		s.done <- err
	}()
}

// Failed is given one value when the server has ended: nil after Stop.
func (s *Server) Failed() <-chan error { return s.done }

// Stop closes the port and waits for the requests that run, until the context's
// end; then it cuts them off. It may be called twice, or before Start.
func (s *Server) Stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	_ = s.listener.Close() // Shutdown knows it only after Start, and closes it itself then
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return errors.Join(fmt.Errorf("requests were cut off: %w", err), s.http.Close())
	}
	return nil
}
