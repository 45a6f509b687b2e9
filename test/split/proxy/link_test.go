package proxy

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// echo listens and says every line back.
func echo(t *testing.T) Address {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		wait.Wait()
	})
	return Address{"tcp", listener.Addr().String()}
}

func link(t *testing.T, target Address) *Link {
	t.Helper()
	l, err := Listen(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func dial(t *testing.T, l *Link) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// reach says something over a new connection.
func reach(l *Link) error {
	conn, err := net.Dial("tcp", l.Address())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return say(conn, "new", patience)
}

// say sends a line and waits for its echo up to a limit.
func say(conn net.Conn, text string, limit time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, text+"\n"); err != nil {
		return err
	}
	_, err := bufio.NewReader(conn).ReadString('\n')
	return err
}

const patience = 10 * time.Second

func TestLinkPassesEverything(t *testing.T) {
	t.Parallel()
	conn := dial(t, link(t, echo(t)))
	sent := make([]byte, 3<<20)
	_, _ = rand.Read(sent)
	go func() { _, _ = conn.Write(sent) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%v; what came back is what was sent: %v", err, bytes.Equal(got, sent))
	}
}

func TestCutEndsAndRefuses(t *testing.T) {
	t.Parallel()
	l := link(t, echo(t))
	conn := dial(t, l)
	if err := say(conn, "before", patience); err != nil {
		t.Fatal(err)
	}
	l.Cut()
	if err := say(conn, "after", patience); err == nil {
		t.Error("a connection has outlived the cut")
	}
	if err := reach(l); err == nil {
		t.Error("a new connection crosses the cut")
	}
	l.Mend()
	if err := reach(l); err != nil {
		t.Errorf("after the mend: %v", err)
	}
}

func TestResetEndsWhatStandsOnly(t *testing.T) {
	t.Parallel()
	l := link(t, echo(t))
	conn := dial(t, l)
	if err := say(conn, "before", patience); err != nil {
		t.Fatal(err)
	}
	l.Reset()
	if err := say(conn, "after", patience); err == nil {
		t.Error("a connection has outlived the reset")
	}
	if err := reach(l); err != nil {
		t.Errorf("a new one: %v", err)
	}
}

func TestHoldTellsNobodyAndLosesNothing(t *testing.T) {
	t.Parallel()
	l := link(t, echo(t))
	old := dial(t, l)
	if err := say(old, "before", patience); err != nil {
		t.Fatal(err)
	}
	l.Hold()
	late := dial(t, l)
	for _, conn := range []net.Conn{old, late} {
		if _, err := io.WriteString(conn, "held\n"); err != nil {
			t.Errorf("the sender is told: %v", err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := conn.Read(make([]byte, 1)); n > 0 || !isTimeout(err) {
			t.Errorf("%d bytes and %v came through", n, err)
		}
	}
	l.Mend()
	for _, conn := range []net.Conn{old, late} {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if got, err := bufio.NewReader(conn).ReadString('\n'); got != "held\n" {
			t.Errorf("after the mend: %q %v", got, err)
		}
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

func TestSlowIsLateAndNotNarrow(t *testing.T) {
	t.Parallel()
	const delay, lines = 60 * time.Millisecond, 20
	l := link(t, echo(t))
	conn := dial(t, l)
	l.Slow(delay)
	begun := time.Now()
	if err := say(conn, "one", patience); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 2*delay {
		t.Errorf("there and back took %v", took)
	}
	begun = time.Now()
	for range lines {
		if _, err := io.WriteString(conn, "many\n"); err != nil {
			t.Fatal(err)
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(conn, make([]byte, lines*len("many\n"))); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 2*delay || took > lines*delay {
		t.Errorf("%d lines sent together took %v", lines, took)
	}
}

func TestAimMovesTheTarget(t *testing.T) {
	t.Parallel()
	l := link(t, Address{})
	if err := reach(l); err == nil {
		t.Error("a link that leads nowhere answers")
	}
	l.Aim(echo(t))
	if err := reach(l); err != nil {
		t.Error(err)
	}
}

func TestTheEndOfOneSideIsTheEndOfTheOther(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	conn := dial(t, link(t, Address{"tcp", listener.Addr().String()}))
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(far, "last words\n"); err != nil {
		t.Fatal(err)
	}
	_ = far.Close()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	reader := bufio.NewReader(conn)
	if got, err := reader.ReadString('\n'); got != "last words\n" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := reader.ReadByte(); err == nil || isTimeout(err) {
		t.Errorf("after the end: %v", err)
	}
}
