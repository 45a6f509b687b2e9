package configuratorapi

import "time"

// Setting is a value that is set.
type Setting struct {
	Host     string    `json:"host"` // of a service, a domain, or "all"
	Property string    `json:"property"`
	Value    string    `json:"value"`
	Updated  time.Time `json:"updated"`
	By       string    `json:"by"` // the id of the admin who set it
}
