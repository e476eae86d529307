package iso19794

import (
	"fmt"
	"time"
)

// A DateTime is the moment of capture in UTC as records hold it. Date and time
// of day can each be unknown: all bits of their fields are then set. The zero
// DateTime is not valid.
type DateTime struct {
	Year                             uint16 // 1 to 65534
	Month, Day, Hour, Minute, Second byte   // month and day count from 1
	Millisecond                      uint16 // 0 to 999
}

// UnknownDateTime returns the DateTime of a capture whose moment is not known.
func UnknownDateTime() DateTime {
	return DateTime{0xFFFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFFFF}
}

// DateTimeOf returns t in UTC, cut to the millisecond. A zero t, or a year that
// does not fit, gives UnknownDateTime.
func DateTimeOf(t time.Time) DateTime {
	t = t.UTC()
	if t.IsZero() || t.Year() < 1 || t.Year() >= 0xFFFF {
		return UnknownDateTime()
	}
	return DateTime{
		Year: uint16(t.Year()), Month: byte(t.Month()), Day: byte(t.Day()),
		Hour: byte(t.Hour()), Minute: byte(t.Minute()), Second: byte(t.Second()),
		Millisecond: uint16(t.Nanosecond() / 1e6),
	}
}

// Time returns d in UTC, and false unless date and time of day are both known
// and exist in the calendar.
func (d DateTime) Time() (time.Time, bool) {
	if !d.valid() || d.dateUnknown() || d.timeUnknown() {
		return time.Time{}, false
	}
	t := time.Date(int(d.Year), time.Month(d.Month), int(d.Day),
		int(d.Hour), int(d.Minute), int(d.Second), int(d.Millisecond)*1e6, time.UTC)
	return t, t.Day() == int(d.Day) // 30 February becomes 2 March
}

// String returns d as in ISO 8601, without what is not known: a date, a time of
// day, or "unknown".
func (d DateTime) String() string {
	date := fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day)
	clock := fmt.Sprintf("T%02d:%02d:%02d.%03dZ", d.Hour, d.Minute, d.Second, d.Millisecond)
	switch {
	case d.dateUnknown() && d.timeUnknown():
		return "unknown"
	case d.dateUnknown():
		return clock
	case d.timeUnknown():
		return date
	}
	return date + clock
}

func (d DateTime) dateUnknown() bool {
	return d.Year == 0xFFFF && d.Month == 0xFF && d.Day == 0xFF
}

func (d DateTime) timeUnknown() bool {
	return d.Hour == 0xFF && d.Minute == 0xFF && d.Second == 0xFF && d.Millisecond == 0xFFFF
}

// valid reports whether date and time of day are each in range or unknown as a
// whole; there is no such thing as a known day of an unknown month.
func (d DateTime) valid() bool {
	date := d.Year >= 1 && d.Year < 0xFFFF && d.Month >= 1 && d.Month <= 12 && d.Day >= 1 && d.Day <= 31
	clock := d.Hour <= 23 && d.Minute <= 59 && d.Second <= 59 && d.Millisecond <= 999
	return (date || d.dateUnknown()) && (clock || d.timeUnknown())
}

func readDateTime(r *reader) DateTime {
	return DateTime{
		Year: r.u16(), Month: r.u8(), Day: r.u8(),
		Hour: r.u8(), Minute: r.u8(), Second: r.u8(),
		Millisecond: r.u16(),
	}
}

func (d DateTime) append(b []byte) []byte {
	b = be.AppendUint16(b, d.Year)
	b = append(b, d.Month, d.Day, d.Hour, d.Minute, d.Second)
	return be.AppendUint16(b, d.Millisecond)
}
