package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// ctkSchemaDir is where the compliance toolkit's schemas are, if they are here.
const ctkSchemaDir = "../../../shared/ctk/schemas/sbi/0.9.5"

// ctkRequests are the toolkit's schemas of its own requests: what fails them is
// never sent.
var ctkRequests = map[string]string{
	"Disc":    "DiscoverRequestSchema",
	"DiscBad": "InvalidDiscoverRequestSchema",
	"Info":    "DeviceInfoRequestSchema",
	"Reg":     "RegistrationCaptureRequestSchema",
	"Auth":    "AuthCaptureRequestSchema",
	"Err":     "ErrorCaptureRequestSchema",
	"RegBad":  "RegistrationCaptureInvalidRequestSchema",
}

// ctkAnswers are the kinds of answers: the toolkit's schemas for them, and our
// own rule, which knows the project and the error code and looks at everything.
// The second schema of a wrong count is that of the toolkit's next version.
var ctkAnswers = map[string]struct {
	schemas []string
	rule    func(p ctkProject, code string) ctkRule
}{
	"Discover":      {[]string{"DiscoverResponseSchema"}, ctkProject.discovery},
	"DiscoverError": {[]string{"DiscoverResponseErrorSchema"}, ctkProject.discoveryError},
	"Info":          {[]string{"DeviceInfoResponseSchema"}, ctkInfo("Ready")},
	"InfoReady":     {[]string{"DeviceInfoReadyResponseSchema"}, ctkInfo("Ready")},
	"InfoBusy":      {[]string{"DeviceInfoBusyResponseSchema"}, ctkInfo("Busy")},
	"InfoNotReady":  {[]string{"DeviceInfoNotReadyResponseSchema"}, ctkInfo("Not Ready")},
	"InfoNotReg":    {[]string{"DeviceInfoNotRegisteredResponseSchema"}, ctkInfo("Not Registered")},
	"RegOK":         {[]string{"RegistrationCaptureResponseSchema"}, ctkProject.biometrics},
	"AuthOK":        {[]string{"AuthCaptureResponseSchema"}, ctkProject.biometrics},
	"CapErr":        {[]string{"ErrorCaptureResponseSchema"}, ctkProject.biometricsError},
	"CountReg":      {[]string{"ErrorCaptureResponseSchema", "BioCountMismatchRCaptureResponseSchema"}, ctkProject.biometricsError},
	"CountAuth":     {[]string{"ErrorCaptureResponseSchema", "BioCountMismatchCaptureResponseSchema"}, ctkProject.biometricsError},
	"TxnErrReg":     {[]string{"TransactionIdErrorRCaptureResponseSchema"}, ctkProject.biometricsError},
	"TxnErrAuth":    {[]string{"TransactionIdErrorCaptureResponseSchema"}, ctkProject.biometricsError},
}

// ctkSchemas are the toolkit's schemas by the names of their files; nil if they
// are not here.
type ctkSchemas map[string]*jsonschema.Schema

// check returns what the schemas find wrong.
func (s ctkSchemas) check(v any, names ...string) error {
	var faults []error
	for _, name := range names {
		if schema := s[name]; schema != nil {
			if err := schema.Validate(v); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", name, err))
			}
		} else if s != nil {
			faults = append(faults, fmt.Errorf("there is no %s.json", name))
		}
	}
	return errors.Join(faults...)
}

// ctkSchemasOf returns the toolkit's schemas, compiled once.
func ctkSchemasOf(t *testing.T) ctkSchemas {
	t.Helper()
	schemas, err := readCTKSchemas()
	if errors.Is(err, fs.ErrNotExist) {
		t.Logf("without the toolkit's schemas, by our own rules alone: %v", err)
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return schemas
}

var readCTKSchemas = sync.OnceValues(func() (ctkSchemas, error) {
	entries, err := os.ReadDir(ctkSchemaDir)
	if err != nil {
		return nil, err
	}
	schemas := ctkSchemas{}
	for _, entry := range entries {
		name, isSchema := strings.CutSuffix(entry.Name(), ".json")
		if !isSchema {
			continue
		}
		if schemas[name], err = compileCTKSchema(filepath.Join(ctkSchemaDir, entry.Name())); err != nil {
			return nil, err
		}
	}
	return schemas, nil
})

func compileCTKSchema(path string) (*jsonschema.Schema, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	schema, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c := jsonschema.NewCompiler() // one each, since some of the files share an $id
	c.AssertFormat()
	c.RegisterFormat(&jsonschema.Format{Name: "date-time", Validate: ctkDateTime})
	if err := c.AddResource("http://schema.test/"+filepath.Base(path), ctkForAll(schema)); err != nil {
		return nil, err
	}
	return c.Compile("http://schema.test/" + filepath.Base(path))
}

// ctkForAll makes the schema of the first element one for every element.
// The toolkit looks at the first only; a client does not.
func ctkForAll(schema any) any {
	switch s := schema.(type) {
	case map[string]any:
		for name, v := range s {
			if first, tuple := v.([]any); tuple && name == "items" && len(first) == 1 {
				v = first[0]
			}
			s[name] = ctkForAll(v)
		}
	case []any:
		for i := range s {
			s[i] = ctkForAll(s[i])
		}
	}
	return schema
}

// ctkDateTime is what the toolkit takes for a date-time: the time zone may be
// missing or lack its colon.
func ctkDateTime(v any) error {
	s, ok := v.(string)
	if !ok {
		return nil // the type is another keyword's business
	}
	parts := ctkDateTimeParts.FindStringSubmatch(s)
	if parts == nil {
		return fmt.Errorf("%q is no date-time", s)
	}
	_, err := time.Parse("2006-01-02T15:04:05", strings.ToUpper(parts[1]))
	return err
}

var ctkDateTimeParts = regexp.MustCompile(`^(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.\d*)?(?:[Zz]|[+-]\d\d:?\d\d)?$`)

func TestCTKDateTime(t *testing.T) {
	for s, valid := range map[string]bool{
		"2026-01-02T03:04:05Z":         true,
		"2026-01-02t03:04:05.678+0200": true,
		"2026-01-02T03:04:05":          true,
		"2026-02-29T03:04:05Z":         false,
		"2026-01-02T24:04:05Z":         false,
		"2026-01-02 03:04:05Z":         false,
		"2026-01-02":                   false,
	} {
		if err := ctkDateTime(s); (err == nil) != valid {
			t.Errorf("%s: %v", s, err)
		}
	}
}
