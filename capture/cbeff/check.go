package cbeff

import (
	"fmt"
	"slices"
)

// Check says all in which b differs from what MOSIP's registration client writes
// and its registration processor wants to read; nil if nothing does. It does not
// repeat what [Validate] finds, nor does it look into the record or verify the
// signature.
func (b BIR) Check() []string {
	var c checker
	c.want(b.Version == Version{1, 1}, "Version %d.%d: must be 1.1", b.Version.Major, b.Version.Minor)
	c.want(b.CBEFFVersion == Version{1, 1}, "CBEFFVersion %d.%d: must be 1.1", b.CBEFFVersion.Major, b.CBEFFVersion.Minor)
	c.want(!b.Info.Integrity, "Integrity is true: MOSIP writes false, SB or not")
	c.bdbInfo(b)
	c.others(b)
	if b.IsException() {
		c.exception(b)
	} else {
		c.signed(b)
	}
	return c.faults
}

type checker struct{ faults []string }

func (c *checker) want(ok bool, format string, args ...any) {
	if !ok {
		c.faults = append(c.faults, fmt.Sprintf(format, args...))
	}
}

func (c *checker) bdbInfo(b BIR) {
	i := b.BDBInfo
	c.want(i.Index != "", "no Index")
	if format, known := formatTypes[i.Type]; known {
		c.want(i.Format.Type == format, "Format type %.20q: %s needs %s", i.Format.Type, i.Type, format)
		_, ok := b.Position()
		c.want(ok, "Subtype %.40q names no position of type %s", i.Subtype, i.Type)
	} else {
		c.want(false, "Type %.40q is none of %s, %s, %s and %s", i.Type, TypeFinger, TypeIris, TypeFace, TypeExceptionPhoto)
	}
	c.want(i.Format.Organization == formatOrganization, "Format organization %.40q: must be %s",
		i.Format.Organization, formatOrganization)
	switch _, ok := b.CreatedAt(); {
	case i.CreationDate == "":
		c.want(false, "no CreationDate")
	default:
		c.want(ok, "CreationDate %.40q has no zone: MOSIP takes it for none", i.CreationDate)
	}
	c.want(i.Level == "Raw", "Level %q: must be Raw", i.Level)
	c.want(i.Purpose == "Enroll", "Purpose %q: must be Enroll", i.Purpose)
	switch q := i.Quality; {
	case q == nil:
		c.want(false, "no Quality")
	case q.Failed:
		c.want(false, "Quality has no Score")
	default:
		c.want(q.Algorithm == qualityAlgorithm, "Quality algorithm %.40q of %.40q: must be %s of %s",
			q.Algorithm.Type, q.Algorithm.Organization, qualityAlgorithm.Type, qualityAlgorithm.Organization)
	}
}

func (c *checker) others(b BIR) {
	var seen []string
	for _, e := range b.Others {
		c.want(!slices.Contains(seen, e.Key), "entry %.40q is there twice", e.Key)
		seen = append(seen, e.Key)
	}
	for _, key := range []string{
		KeyException, KeyRetries, KeySDKScore, KeyForceCaptured, KeyPayload, KeySpecVersion,
	} {
		c.want(slices.Contains(seen, key), "no entry %s", key)
	}
	for _, key := range []string{KeyException, KeyForceCaptured} {
		v, ok := b.Other(key)
		c.want(!ok || v == "true" || v == "false", "entry %s is %.40q: must be true or false", key, v)
	}
}

func (c *checker) exception(b BIR) {
	c.want(len(b.BDB) == 0, "a BDB in the BIR of an exception")
	c.want(b.SB == "", "an SB in the BIR of an exception")
	c.want(b.BDBInfo.Type != TypeFace && b.BDBInfo.Type != TypeExceptionPhoto, "a missing face")
	if q := b.BDBInfo.Quality; q != nil {
		c.want(q.Score == 0, "Score %d in the BIR of an exception: must be 0", q.Score)
	}
	for _, key := range []string{KeyPayload, KeySpecVersion} {
		v, _ := b.Other(key)
		c.want(v == "", "a %s in the BIR of an exception", key)
	}
}

func (c *checker) signed(b BIR) {
	_, err := b.Token()
	c.want(err == nil, "%v", err)
	c.want(len(b.BDB) == 0 || b.isRecord(), "BDB is no record of type %.40q", b.BDBInfo.Type)
	v, _ := b.Other(KeySpecVersion)
	c.want(v != "", "no value of %s", KeySpecVersion)
}
