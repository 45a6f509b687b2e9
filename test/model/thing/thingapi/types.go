package thingapi

import "time"

// Person is somebody at a place.
type Person struct {
	X    float64  `json:"x"`
	Y    float64  `json:"y"`
	Name string   `json:"name,omitempty"`
	Tags []string `json:"tags,omitempty"`
	Home *Home    `json:"home,omitempty"`
}

// Home is where a person lives.
type Home struct {
	Street string `json:"street"`
	Number int    `json:"number"`
}

// Numbers is a number of each width, and what is told apart from them.
type Numbers struct {
	I     int     `json:"i"`
	I8    int8    `json:"i8"`
	I16   int16   `json:"i16"`
	I32   int32   `json:"i32"`
	I64   int64   `json:"i64"`
	U     uint    `json:"u"`
	U8    uint8   `json:"u8"`
	U16   uint16  `json:"u16"`
	U32   uint32  `json:"u32"`
	U64   uint64  `json:"u64"`
	F32   float32 `json:"f32"`
	F64   float64 `json:"f64"`
	OK    bool    `json:"ok"`
	Octet byte    `json:"octet"`
}

// Shapes is a value of each type that is no plain number.
type Shapes struct {
	At     time.Time          `json:"at"`
	Span   time.Duration      `json:"span"`
	Raw    []byte             `json:"raw"`
	Tags   []string           `json:"tags"`
	Counts map[string]int     `json:"counts"`
	List   []int              `json:"list"`
	Flags  []bool             `json:"flags"`
	Times  []time.Time        `json:"times"`
	Spans  []time.Duration    `json:"spans"`
	Grid   [][]int            `json:"grid"`
	Person Person             `json:"person"`
	Maybe  *Person            `json:"maybe"`
	People []Person           `json:"people"`
	ByName map[string]*Person `json:"byName"`
	Loose  any                `json:"loose"`
	Count  *int               `json:"count"`
}

// Arrived is what a web handler was sent.
type Arrived struct {
	Method string `json:"method"`
	Host   string `json:"host"`
	Path   string `json:"path"`
	Query  string `json:"query"`
	Type   string `json:"type"` // Content-Type
	Own    string `json:"own"`  // X-Own
	Body   string `json:"body"`
}
