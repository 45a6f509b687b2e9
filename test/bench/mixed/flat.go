package main

// A memory is flat when it grows by less than flatLimit a minute in the second half of
// a run; the first half is for whatever fills up once.
const (
	flatLimit  = 0.01
	flatNeeds  = 3 // samples, of which a slope can be told
	secondHalf = 2
)

// growth is the slope of the memory in the second half, as a part of its mean a minute,
// by least squares. It cannot be told of a few samples.
func growth(samples []sample) (perMinute float64, ok bool) {
	half := samples[len(samples)/secondHalf:]
	if len(half) < flatNeeds {
		return 0, false
	}
	var meanX, meanY float64
	for _, s := range half {
		meanX += s.at.Minutes() / float64(len(half))
		meanY += float64(s.rss) / float64(len(half))
	}
	var both, square float64
	for _, s := range half {
		dx := s.at.Minutes() - meanX
		both += dx * (float64(s.rss) - meanY)
		square += dx * dx
	}
	return both / square / meanY, true
}
