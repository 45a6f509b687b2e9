package knobsapi

import "time"

// Values are the values in force.
type Values struct {
	Limit    int           `json:"limit"`
	Small    uint8         `json:"small"`
	Ratio    float64       `json:"ratio"`
	Patience time.Duration `json:"patience"`
	Loud     bool          `json:"loud"`
	Motto    string        `json:"motto"`
	Token    string        `json:"token"`
	Told     []string      `json:"told"` // the changes that were told, each with what was read meanwhile
}

// Beats is what has become of a ticker.
type Beats struct {
	Began   []time.Duration `json:"began"` // since the service was made
	Ended   int             `json:"ended"`
	Most    int             `json:"most"`    // at the same time
	Stopped bool            `json:"stopped"` // an iteration was ended by its context
}
