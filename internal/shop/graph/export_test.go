package graph

import "time"

// Hurry makes sockets wait shorter: for a connection_init, between two looks at the client, and for whatever it has to take.
func (s *Service) Hurry(init, check, frame time.Duration) {
	s.times = times{init: init, check: check, pong: frame, frame: frame}
}

// Listening is how many subscriptions listen.
func (s *Service) Listening() int { return s.resolver.placed.size() + s.resolver.stock.size() }

func (s *subject[T]) size() (size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, listeners := range s.byKey {
		size += len(listeners)
	}
	return size
}

// Sockets is how many are open.
func (s *Service) Sockets() int {
	s.sockets.mu.Lock()
	defer s.sockets.mu.Unlock()
	return len(s.sockets.open)
}

// LibraryOnly lets the library answer everything.
func (s *Service) LibraryOnly() {
	s.documents.compile = func(*document, *operation) *direct { return nil }
}

// IsDirect says whether an operation is answered without the library's executor.
func (s *Service) IsDirect(query string, variables map[string]any) bool {
	doc, errs := s.documents.get(&request{Query: query, Variables: variables})
	return errs == nil && doc.operations[0].direct != nil
}

// Text is how a text is written in an answer.
func Text(text string) string {
	var a writing
	a.text(text)
	return string(a.out)
}
