package load

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Used is what a process has used since its start.
type Used struct {
	Processor   time.Duration // user and system
	Allocations int64         // objects on its heap; reading them makes some
}

// Used reads what the server has used.
func (s *Server) Used() (u Used, err error) {
	if u.Allocations, err = allocations(s.Address); err != nil {
		return u, err
	}
	u.Processor, err = s.Processor()
	return u, err
}

// Processor is the processor time that the server has used since its start.
func (s *Server) Processor() (time.Duration, error) { return processorTime(s.pid()) }

// ResidentBytes is the memory the server has in use.
func (s *Server) ResidentBytes() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.pid()))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err == nil && pages == 0 { // only what has ended has none
		err = fmt.Errorf("the server at %s has ended", s.Address)
	}
	return pages * int64(os.Getpagesize()), err
}

// Megabytes is a size for people.
func Megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

// ticksPerSecond is the kernel's USER_HZ, which is 100 on every Linux.
const ticksPerSecond = 100

func processorTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticksPerSecond, err
}

// What a Go process with Prometheus's collectors says of its memory, and where.
const (
	metricsPath       = "/metrics"
	allocationsMetric = "go_memstats_mallocs_total "
)

func allocations(address string) (int64, error) { return metric(address, allocationsMetric, "") }

// Counter is the value of one of the server's counters, by its name and the text of one of its labels; 0 of one that has
// not counted yet.
func (s *Server) Counter(name, label string) (int, error) {
	n, err := metric(s.Address, name+"{", label)
	if errors.Is(err, errNoMetric) {
		return 0, nil
	}
	return int(n), err
}

var errNoMetric = errors.New("there is no such metric")

// metric is the value in the first line of the metrics that begins so and has that label.
func metric(address, beginning, label string) (int64, error) {
	answer, err := http.Get(address + metricsPath)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, beginning) && strings.Contains(line, label) {
			n, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			return int64(n), err
		}
	}
	return 0, fmt.Errorf("%s%s (%s) does not say %s%s: %w", address, metricsPath, answer.Status, beginning, label, errNoMetric)
}
