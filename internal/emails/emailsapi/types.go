package emailsapi

import "time"

// Email is a mail in the outbox.
type Email struct {
	ID      string    `json:"id"` // eml_…
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	Created time.Time `json:"created"`
	Status  string    `json:"status"` // waiting, sent or failed
}
