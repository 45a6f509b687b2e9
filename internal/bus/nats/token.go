package natsbus

import (
	"fmt"
	"strings"
)

// token writes a text as one token of a subject, which may also be part of the name of a
// stream or a consumer: what is not a letter, a digit, - or _ becomes = and two hex digits.
func token(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if isPlain(c) {
			b.WriteByte(c)
		} else {
			_, _ = fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

func isPlain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// subjects are those of one system, all below its prefix.
type subjects struct{ prefix string }

func (s subjects) calls(process string) string   { return s.prefix + ".call." + process }
func (s subjects) answers(process string) string { return s.prefix + ".answer." + process + "." }
func (s subjects) roster(process string) string  { return s.prefix + ".roster." + process }
func (s subjects) everybody() string             { return s.roster("all") }
func (s subjects) hello() string                 { return s.prefix + ".hello" }

// stream is the name of a topic's stream.
func (s subjects) stream(topic string) string { return s.prefix + "-topic-" + token(topic) }

func (s subjects) partition(topic string, n int) string {
	return fmt.Sprintf("%s.topic.%s.%d", s.prefix, token(topic), n)
}

func (s subjects) partitions(topic string) string {
	return fmt.Sprintf("%s.topic.%s.*", s.prefix, token(topic))
}

// delivery is where a group is given the events of a partition.
func (s subjects) delivery(topic, group string, n int) string {
	return fmt.Sprintf("%s.deliver.%s.%s.%d", s.prefix, token(topic), token(group), n)
}

// consumer is the name of a group's consumer of a partition.
func consumer(group string, n int) string { return fmt.Sprintf("%s-%d", token(group), n) }

// bucket is the name of where deliveries that cost no try are counted.
func (s subjects) bucket() string { return s.prefix + "-after" }

func countKey(topic, group string, n int) string {
	return fmt.Sprintf("%s.%s.%d", token(topic), token(group), n)
}
