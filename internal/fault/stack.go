package fault

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Frame is a place in the code that an error has passed.
type Frame struct {
	Function string `json:"function"` // with its package, e.g. "m3o/internal/keys.(*Service).Verify"
	File     string `json:"file"`     // its last folder and its name, e.g. "keys/keys.go"
	Line     int    `json:"line"`
}

func (f Frame) String() string { return fmt.Sprintf("%s:%d %s", f.File, f.Line, f.Function) }

// traced is an error with a place that it has passed.
type traced struct {
	error
	pc uintptr
}

func (t *traced) Unwrap() error { return t.error }

// Trace notes the caller's line as a place that err has passed; its text stays the
// same. Trace(nil) is nil. Faults note by themselves where they are made.
func Trace(err error) error {
	if err == nil {
		return nil
	}
	return &traced{err, caller(1)}
}

// TraceCall is Trace for code that calls on behalf of others: it notes the first
// line above it whose function does not satisfy own.
func TraceCall(err error, own func(function string) bool) error {
	if err == nil {
		return nil
	}
	var pcs [16]uintptr
	for _, pc := range pcs[:runtime.Callers(2, pcs[:])] {
		if f := frameOf(pc); f.Function != "" && !own(f.Function) {
			return &traced{err, pc}
		}
	}
	return err
}

// Stack is where err has been, the deepest place first: where it was made, where it
// was traced, and in other processes before it came here. Of joined errors it tells
// the first that knows a place.
func Stack(err error) []Frame {
	var upwards []Frame // the outermost first
	for err != nil {
		switch e := err.(type) {
		case *traced:
			upwards = append(upwards, frameOf(e.pc))
		case *Error:
			if e.pc != 0 {
				upwards = append(upwards, frameOf(e.pc))
			}
			for _, f := range slices.Backward(e.Trace) {
				upwards = append(upwards, f)
			}
		case interface{ Unwrap() []error }:
			for _, branch := range e.Unwrap() {
				if below := Stack(branch); len(below) > 0 {
					slices.Reverse(upwards)
					return append(below, upwards...)
				}
			}
		}
		err = errors.Unwrap(err)
	}
	slices.Reverse(upwards)
	return upwards
}

// caller is the program counter of the caller's caller, skip frames further up.
func caller(skip int) uintptr {
	var pcs [1]uintptr
	runtime.Callers(skip+2, pcs[:])
	return pcs[0]
}

func frameOf(pc uintptr) Frame {
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	folder, name := filepath.Split(f.File)
	file := name
	if folder = strings.TrimRight(folder, `/\`); folder != "" {
		file = filepath.Base(folder) + "/" + name
	}
	return Frame{Function: f.Function, File: file, Line: f.Line}
}
