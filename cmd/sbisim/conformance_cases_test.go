package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ctkTable is what the compliance toolkit does with a device: its functional
// cases, each a call with the answer it wants. In the columns:
//
//   - project: which device; all is every one.
//   - request, answer: keys of ctkRequests and ctkAnswers. The code behind an
//     answer is the error code that ours gives.
//   - checks: the toolkit's validators, keys of ctkValidators.
//   - sub to ms: deviceSubId, count, bioSubType, exception, requestedScore and
//     timeout of a capture.
//   - operator: what is done to the device meanwhile, a key of ctkOperator.
//   - also: rounds:N, that many calls; rename:MEMBER, sent as MEMBERXXX;
//     txn:N, a transaction id of N characters; upper, the type in capitals.
const ctkTable = `
#    project     call       request answer            checks           sub n  subtypes    excepted score ms    operator   also               name
1000 all         MOSIPDISC  Disc    Discover          Sch,Sig          -   -  -           -        -     -     -          -                  discovery
1001 all         MOSIPDINFO Info    Info              Sch,Sig          -   -  -           -        -     -     -          -                  information
1002 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig      1   4  LI,LM,LR,LL -        40    10000 -          -                  left slap
1003 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig      1   3  LI,LM,LL    LR       40    10000 -          -                  left slap, one excepted
1004 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig      2   4  RI,RM,RR,RL -        40    10000 -          -                  right slap
1005 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig      2   2  RR,RL       RI,RM    40    10000 -          -                  right slap, two excepted
1006 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig      3   2  RT,LT       -        40    10000 -          -                  two thumbs
1007 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig      3   1  RT          LT       40    10000 -          -                  two thumbs, one excepted
1008 reg-finger  RCAPTURE   Err     CapErr:101        Sch              3   0  -           RT,LT    40    10000 nothing    -                  two thumbs, all excepted
1009 reg-iris    RCAPTURE   Reg     RegOK             Sch,Mis,Sig      3   2  L,R         -        40    10000 -          -                  both irises
1010 reg-iris    RCAPTURE   Reg     RegOK             Sch,Mis,Sig      3   1  R           L        40    10000 -          -                  both irises, one excepted
1011 reg-iris    RCAPTURE   Err     CapErr:101        Sch              3   0  -           L,R      40    10000 nothing    -                  both irises, all excepted
1012 reg-face    RCAPTURE   Reg     RegOK             Sch,Mis,Sig      0   1  -           -        40    10000 -          -                  face
1013 reg-face    RCAPTURE   Reg     RegOK             Sch,Sig          0   1  -           LL       10    10000 -          -                  exception photo
1014 auth-face   CAPTURE    Auth    AuthOK            Sch,Mis,Sig      0   1  -           -        40    10000 -          -                  face
1015 auth-iris   CAPTURE    Auth    AuthOK            Sch,Mis,Sig      0   1  UNK         -        40    10000 -          -                  any iris
1016 auth-iris   CAPTURE    Auth    AuthOK            Sch,Mis,Sig      0   1  L           -        40    10000 -          -                  left iris
1017 auth-iris   CAPTURE    Auth    AuthOK            Sch,Mis,Sig      0   1  R           -        40    10000 -          -                  right iris
1018 auth-finger CAPTURE    Auth    AuthOK            Sch,Mis,Sig      0   1  UNK         -        40    10000 -          -                  any finger
1019 auth-finger CAPTURE    Auth    AuthOK            Sch,Mis,Sig      0   2  UNK,UNK     -        40    10000 -          -                  any two fingers
1020 auth-finger CAPTURE    Auth    AuthOK            Sch,Mis,Sig      0   1  LI          -        40    10000 -          -                  left index finger
1021 auth-finger CAPTURE    Auth    AuthOK            Sch,Mis,Sig      0   2  LI,LM       -        40    10000 -          -                  two fingers
1022 reg-finger  MOSIPDINFO Info    InfoReady         Key              -   -  -           -        -     -     rotate     rounds:2           left slap, key rotation
1023 auth-iris   MOSIPDINFO Info    InfoReady         Key              -   -  -           -        -     -     rotate     rounds:2           left iris, key rotation
1024 auth-finger MOSIPDINFO Info    InfoReady         Key              -   -  -           -        -     -     rotate     rounds:2           left index finger, key rotation
1025 auth-face   MOSIPDINFO Info    InfoReady         Key              -   -  -           -        -     -     rotate     rounds:2           face, key rotation
1026 all         MOSIPDINFO Info    InfoReady         Sch,Sig          -   -  -           -        -     -     -          -                  status ready
1027 all         MOSIPDINFO Info    InfoBusy:111      Sch              -   -  -           -        -     -     busy       -                  status busy
1028 all         MOSIPDINFO Info    InfoNotReady:110  Sch              -   -  -           -        -     -     unplug     -                  status not ready
1029 all         MOSIPDINFO Info    InfoNotReg:100    Sch              -   -  -           -        -     -     unregister -                  status not registered
1030 auth-finger CAPTURE    Err     CountAuth:109     Sch              0   11 -           -        40    10000 -          -                  finger, wrong count
1031 auth-iris   CAPTURE    Err     CountAuth:109     Sch              0   3  -           -        40    10000 -          -                  iris, wrong count
1032 auth-face   CAPTURE    Err     CountAuth:109     Sch              0   2  -           -        40    10000 -          -                  face, wrong count
1033 reg-finger  RCAPTURE   Err     CountReg:109      Sch              1   5  -           -        40    10000 -          -                  left slap, wrong count
1034 reg-finger  RCAPTURE   Err     CountReg:109      Sch              2   5  -           -        40    10000 -          -                  right slap, wrong count
1035 reg-finger  RCAPTURE   Err     CountReg:109      Sch              3   3  -           -        40    10000 -          -                  two thumbs, wrong count
1036 reg-iris    RCAPTURE   Err     CountReg:109      Sch              1   2  -           -        40    10000 -          -                  left iris, wrong count
1037 reg-iris    RCAPTURE   Err     CountReg:109      Sch              2   2  -           -        40    10000 -          -                  right iris, wrong count
1038 reg-iris    RCAPTURE   Err     CountReg:109      Sch              3   3  -           -        40    10000 -          -                  both irises, wrong count
1039 reg-face    RCAPTURE   Err     CountReg:109      Sch              0   2  -           -        40    10000 -          -                  face, wrong count
1040 reg-face    RCAPTURE   Reg     CapErr:101        Sch,Tmo          0   1  -           -        40    500   nothing    -                  face, nothing there
1041 reg-iris    RCAPTURE   Reg     CapErr:101        Sch,Tmo          3   2  L,R         -        40    500   nothing    -                  both irises, nothing there
1042 reg-finger  RCAPTURE   Reg     CapErr:101        Sch,Tmo          1   4  LI,LM,LR,LL -        40    500   nothing    -                  left slap, nothing there
1043 reg-finger  RCAPTURE   Reg     CapErr:101        Sch,Tmo          2   4  RI,RM,RR,RL -        40    500   nothing    -                  right slap, nothing there
1044 reg-finger  RCAPTURE   Reg     CapErr:101        Sch,Tmo          3   2  RT,LT       -        40    500   nothing    -                  two thumbs, nothing there
1045 reg-face    RCAPTURE   Reg     CapErr:101        Sch,Tmo          0   1  -           LL       10    500   nothing    -                  exception photo, nothing there
1046 auth-face   CAPTURE    Auth    CapErr:101        Sch,Tmo          0   1  -           -        40    500   nothing    -                  face, nothing there
1047 auth-iris   CAPTURE    Auth    CapErr:101        Sch,Tmo          0   1  UNK         -        40    500   nothing    -                  any iris, nothing there
1048 auth-finger CAPTURE    Auth    CapErr:101        Sch,Tmo          0   1  UNK         -        40    500   nothing    -                  any finger, nothing there
1049 reg-face    RCAPTURE   Reg     RegOK             Sch,Tmo,Sig      0   1  -           -        100   10000 -          -                  face, score out of reach
1050 reg-iris    RCAPTURE   Reg     RegOK             Sch,Tmo,Sig      3   2  L,R         -        100   10000 -          -                  both irises, score out of reach
1051 reg-finger  RCAPTURE   Reg     RegOK             Sch,Tmo,Sig      1   4  LI,LM,LR,LL -        100   10000 -          -                  left slap, score out of reach
1052 reg-finger  RCAPTURE   Reg     RegOK             Sch,Tmo,Sig      2   4  RI,RM,RR,RL -        100   10000 -          -                  right slap, score out of reach
1053 reg-finger  RCAPTURE   Reg     RegOK             Sch,Tmo,Sig      3   2  RT,LT       -        100   10000 -          -                  two thumbs, score out of reach
1054 reg-face    RCAPTURE   Reg     RegOK             Sch,Tmo,Sig      0   1  -           LL       100   10000 -          -                  exception photo, score out of reach
1055 auth-face   CAPTURE    Auth    AuthOK            Sch,Tmo,Sig      0   1  -           -        100   10000 -          -                  face, score out of reach
1056 auth-iris   CAPTURE    Auth    AuthOK            Sch,Tmo,Sig      0   1  UNK         -        100   10000 -          -                  any iris, score out of reach
1057 auth-finger CAPTURE    Auth    AuthOK            Sch,Tmo,Sig      0   1  UNK         -        100   10000 -          -                  any finger, score out of reach
1058 auth-finger CAPTURE    Auth    AuthOK            Sch,Mis,Sig      0   10 LI,LM,LR,LL,LT,RI,RM,RR,RL,RT -        100   10000 -          -                  ten fingers
1059 auth-iris   CAPTURE    Auth    AuthOK            Sch,Mis,Sig      0   2  L,R         -        100   10000 -          -                  two irises
1060 reg-face    MOSIPDINFO Info    InfoReady         Key              -   -  -           -        -     -     rotate     rounds:2           face, key rotation
1061 reg-iris    MOSIPDINFO Info    InfoReady         Key              -   -  -           -        -     -     rotate     rounds:2           both irises, key rotation
1062 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig,ISO  1   4  LI,LM,LR,LL -        40    10000 -          -                  left slap, record
1063 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig,ISO  2   4  RI,RM,RR,RL -        40    10000 -          -                  right slap, record
1064 reg-iris    RCAPTURE   Reg     RegOK             Sch,Mis,Sig,ISO  3   2  L,R         -        40    10000 -          -                  both irises, record
1065 reg-face    RCAPTURE   Reg     RegOK             Sch,Mis,Sig,ISO  0   1  -           -        40    10000 -          -                  face, record
1066 auth-face   CAPTURE    Auth    AuthOK            Sch,Mis,Sig,ISO  0   1  -           -        40    10000 -          -                  face, record
1067 auth-iris   CAPTURE    Auth    AuthOK            Sch,Mis,Sig,ISO  0   1  L           -        40    10000 -          -                  left iris, record
1068 auth-iris   CAPTURE    Auth    AuthOK            Sch,Mis,Sig,ISO  0   1  R           -        40    10000 -          -                  right iris, record
1069 auth-finger CAPTURE    Auth    AuthOK            Sch,Mis,Sig,ISO  0   1  UNK         -        40    10000 -          -                  any finger, record
1070 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig      1   4  LI,LM,LR,LL -        40    10000 -          -                  left slap, stream
1071 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig      2   4  RI,RM,RR,RL -        40    10000 -          -                  right slap, stream
1072 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig      3   2  RT,LT       -        40    10000 -          -                  two thumbs, stream
1073 reg-iris    RCAPTURE   Reg     RegOK             Sch,Mis,Sig      3   2  L,R         -        40    10000 -          -                  both irises, stream
1074 reg-face    RCAPTURE   Reg     RegOK             Sch,Mis,Sig      0   1  -           -        40    10000 -          -                  face, stream
1075 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig,Qual 1   4  LI,LM,LR,LL -        40    10000 -          -                  left slap, quality
1076 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig,Qual 2   4  RI,RM,RR,RL -        40    10000 -          -                  right slap, quality
1077 reg-iris    RCAPTURE   Reg     RegOK             Sch,Mis,Sig,Qual 3   2  L,R         -        40    10000 -          -                  both irises, quality
1078 reg-face    RCAPTURE   Reg     RegOK             Sch,Mis,Sig,Qual 0   1  -           -        40    10000 -          -                  face, quality
1079 auth-face   CAPTURE    Auth    AuthOK            Sch,Mis,Sig,Qual 0   1  -           -        40    10000 -          -                  face, quality
1080 auth-iris   CAPTURE    Auth    AuthOK            Sch,Mis,Sig,Qual 0   1  L           -        40    10000 -          -                  left iris, quality
1081 auth-iris   CAPTURE    Auth    AuthOK            Sch,Mis,Sig,Qual 0   1  R           -        40    10000 -          -                  right iris, quality
1082 auth-finger CAPTURE    Auth    AuthOK            Sch,Mis,Sig,Qual 0   1  UNK         -        40    10000 -          -                  any finger, quality
1083 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig,Time 1   4  LI,LM,LR,LL -        40    10000 -          -                  left slap, time
1084 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig,Time 2   4  RI,RM,RR,RL -        40    10000 -          -                  right slap, time
1085 reg-iris    RCAPTURE   Reg     RegOK             Sch,Mis,Sig,Time 3   2  L,R         -        40    10000 -          -                  both irises, time
1086 reg-face    RCAPTURE   Reg     RegOK             Sch,Mis,Sig,Time 0   1  -           -        40    10000 -          -                  face, time
1087 auth-face   CAPTURE    Auth    AuthOK            Sch,Mis,Sig,Time 0   1  -           -        40    10000 -          -                  face, time
1088 auth-iris   CAPTURE    Auth    AuthOK            Sch,Mis,Sig,Time 0   1  L           -        40    10000 -          -                  left iris, time
1089 auth-iris   CAPTURE    Auth    AuthOK            Sch,Mis,Sig,Time 0   1  R           -        40    10000 -          -                  right iris, time
1090 auth-finger CAPTURE    Auth    AuthOK            Sch,Mis,Sig,Time 0   1  UNK         -        40    10000 -          -                  any finger, time
1091 auth-face   CAPTURE    Auth    TxnErrAuth:112    Sch              0   1  -           -        40    10000 -          txn:62             face, bad transaction id
1092 auth-iris   CAPTURE    Auth    TxnErrAuth:112    Sch              0   1  L           -        40    10000 -          txn:51             left iris, bad transaction id
1093 auth-finger CAPTURE    Auth    TxnErrAuth:112    Sch              0   1  UNK         -        40    10000 -          txn:64             any finger, bad transaction id
1094 reg-finger  RCAPTURE   RegBad  CapErr:500        Sch              1   4  LI,LM,LR,LL -        40    10000 -          rename:env         left slap, no env
1095 reg-finger  RCAPTURE   RegBad  CapErr:500        Sch              2   4  RI,RM,RR,RL -        40    10000 -          rename:timeout     right slap, no timeout
1096 reg-finger  RCAPTURE   RegBad  CapErr:500        Sch              3   2  RT,LT       -        40    10000 -          rename:specVersion two thumbs, no specVersion
1097 reg-iris    RCAPTURE   RegBad  CapErr:500        Sch              3   2  L,R         -        40    10000 -          rename:purpose     both irises, no purpose
1098 reg-face    RCAPTURE   RegBad  CapErr:500        Sch              0   1  -           -        40    10000 -          rename:bio         face, no bio
1099 reg-iris    RCAPTURE   RegBad  CapErr:500        Sch              3   1  R           L        40    10000 -          rename:count       both irises, one excepted, no count
1100 reg-face    RCAPTURE   RegBad  CapErr:500        Sch              0   1  -           LL       10    10000 -          rename:deviceSubId exception photo, no deviceSubId
1101 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig,Hash 1   4  LI,LM,LR,LL -        40    10000 -          rounds:3           left slap, hash chain
1102 reg-face    RCAPTURE   Reg     RegOK             Sch,Mis,Sig,Hash 0   1  -           -        40    10000 -          rounds:3           face, hash chain
1103 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig,Hash 2   4  RI,RM,RR,RL -        40    10000 -          rounds:3           right slap, hash chain
1104 reg-iris    RCAPTURE   Reg     RegOK             Sch,Mis,Sig,Hash 3   2  L,R         -        40    10000 -          rounds:3           both irises, hash chain
1105 auth-face   CAPTURE    Auth    AuthOK            Sch,Mis,Sig,Hash 0   1  -           -        40    10000 -          rounds:3           face, hash chain
1106 auth-iris   CAPTURE    Auth    AuthOK            Sch,Mis,Sig,Hash 0   1  UNK         -        40    10000 -          rounds:3           any iris, hash chain
1107 auth-finger CAPTURE    Auth    AuthOK            Sch,Mis,Sig,Hash 0   1  UNK         -        40    10000 -          rounds:3           any finger, hash chain
1108 reg-finger  RCAPTURE   Reg     TxnErrReg:112     Sch              1   4  LI,LM,LR,LL -        40    10000 -          txn:62             left slap, bad transaction id
1109 reg-finger  RCAPTURE   Reg     TxnErrReg:112     Sch              2   4  RI,RM,RR,RL -        40    10000 -          txn:62             right slap, bad transaction id
1110 reg-iris    RCAPTURE   Reg     TxnErrReg:112     Sch              3   2  L,R         -        40    10000 -          txn:62             both irises, bad transaction id
1111 reg-face    RCAPTURE   Reg     TxnErrReg:112     Sch              0   1  -           -        40    10000 -          txn:62             face, bad transaction id
1196 all         MOSIPDISC  DiscBad DiscoverError:500 Sch              -   -  -           -        -     -     -          upper              discovery, type in upper case
1197 reg-finger  RCAPTURE   Reg     RegOK             Sch,Mis,Sig      1   4  -           -        40    10000 -          -                  left slap, no subtypes
1198 reg-iris    RCAPTURE   Reg     RegOK             Sch,Mis,Sig      3   2  -           -        40    10000 -          -                  both irises, no subtypes
1199 reg-face    RCAPTURE   Reg     RegOK             Sch,Mis,Sig      0   1  -           -        40    10000 -          -                  face, no subtypes
`

// A ctkCase is a line of ctkTable.
type ctkCase struct {
	number                int
	project, call         string
	request, answer, code string
	checks                []string
	sub, count            string
	subTypes, exceptions  []string
	score                 string
	timeout               time.Duration
	operator              string
	rounds                int
	rename                string
	transactionLength     int
	upper                 bool
	name                  string
}

// ctkPositions are the table's short words for fingers and eyes.
var ctkPositions = map[string]string{
	"LI": "Left IndexFinger", "LM": "Left MiddleFinger", "LR": "Left RingFinger", "LL": "Left LittleFinger", "LT": "Left Thumb",
	"RI": "Right IndexFinger", "RM": "Right MiddleFinger", "RR": "Right RingFinger", "RL": "Right LittleFinger", "RT": "Right Thumb",
	"L": "Left", "R": "Right", "UNK": "UNKNOWN",
}

// ctkCases reads ctkTable.
func ctkCases(t *testing.T) []ctkCase {
	t.Helper()
	var cases []ctkCase
	for line := range strings.Lines(ctkTable) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		c, err := parseCTKCase(line)
		if err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		cases = append(cases, c)
	}
	return cases
}

func parseCTKCase(line string) (ctkCase, error) {
	cell := strings.Fields(line)
	if len(cell) < 15 {
		return ctkCase{}, fmt.Errorf("%d columns", len(cell))
	}
	name := strings.Join(cell[14:], " ")
	for i := range cell {
		if cell[i] == "-" {
			cell[i] = ""
		}
	}
	c := ctkCase{
		project: cell[1], call: cell[2], request: cell[3], checks: strings.Split(cell[5], ","),
		sub: cell[6], count: cell[7], score: cell[10], operator: cell[12], rounds: 1, name: name,
	}
	var err error
	number := func(s string) (n int) {
		if s != "" && err == nil {
			n, err = strconv.Atoi(s)
		}
		return n
	}
	positions := func(s string) []string {
		list := []string{} // sent as [] where there are none
		for short := range strings.SplitSeq(s, ",") {
			if short == "" {
				continue
			}
			if ctkPositions[short] == "" {
				err = fmt.Errorf("no position %q", short)
			}
			list = append(list, ctkPositions[short])
		}
		return list
	}
	c.number = number(cell[0])
	c.answer, c.code, _ = strings.Cut(cell[4], ":")
	c.subTypes, c.exceptions = positions(cell[8]), positions(cell[9])
	c.timeout = time.Duration(number(cell[11])) * time.Millisecond
	switch key, value, _ := strings.Cut(cell[13], ":"); key {
	case "":
	case "rounds":
		c.rounds = number(value)
	case "rename":
		c.rename = value
	case "txn":
		c.transactionLength = number(value)
	case "upper":
		c.upper = true
	default:
		return c, fmt.Errorf("no column also can be %q", key)
	}
	return c, err
}

// String is how the toolkit calls the case, with our name for it.
func (c ctkCase) String() string { return fmt.Sprintf("SBI%d %s", c.number, c.name) }

// capture says whether the case is a capture, and not about what devices say of
// themselves.
func (c ctkCase) capture() bool { return c.call == "RCAPTURE" || c.call == "CAPTURE" }

// A ctkProject is what somebody has tested with the toolkit: one device.
type ctkProject struct {
	name                   string
	purpose, kind, subType string
	cases                  int   // that the toolkit runs for it
	rehearsal              []int // cases that together capture all that the device can
}

var ctkProjects = []ctkProject{
	{"reg-finger", "Registration", "Finger", "Slap", 41, []int{1002, 1004, 1006}},
	{"reg-iris", "Registration", "Iris", "Double", 25, []int{1009}},
	{"reg-face", "Registration", "Face", "Full face", 24, []int{1012, 1013}},
	{"auth-finger", "Auth", "Finger", "Single", 21, []int{1058}},
	{"auth-iris", "Auth", "Iris", "Single", 23, []int{1059}},
	{"auth-face", "Auth", "Face", "Full face", 17, []int{1014}},
}

// of returns the project's cases.
func (p ctkProject) of(cases []ctkCase) []ctkCase {
	return slices.DeleteFunc(slices.Clone(cases), func(c ctkCase) bool { return c.project != "all" && c.project != p.name })
}

// subIDs are the deviceSubId that a device of the project has.
func (p ctkProject) subIDs() []any {
	if p.subType == "Slap" || p.subType == "Double" {
		return []any{"1", "2", "3"}
	}
	return []any{"0"}
}

// The table has every case once, and words that mean something.
func TestCTKTable(t *testing.T) {
	cases := ctkCases(t)
	var want, got []int
	for n := 1000; n <= 1111; n++ {
		want = append(want, n)
	}
	want = append(want, 1196, 1197, 1198, 1199)
	for _, c := range cases {
		got = append(got, c.number)
		if _, ok := ctkRequests[c.request]; !ok {
			t.Errorf("%v: no request is called %q", c, c.request)
		}
		if _, ok := ctkAnswers[c.answer]; !ok {
			t.Errorf("%v: no answer is called %q", c, c.answer)
		}
		if _, ok := ctkOperator[c.operator]; !ok {
			t.Errorf("%v: no operator's step is called %q", c, c.operator)
		}
		for _, check := range c.checks {
			if ctkValidators[check] == nil {
				t.Errorf("%v: no validator is called %q", c, check)
			}
		}
		verb := map[string]string{"reg": "RCAPTURE", "auth": "CAPTURE"}[strings.Split(c.project, "-")[0]]
		if c.capture() && c.call != verb {
			t.Errorf("%v: %s in project %s", c, c.call, c.project)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the table has cases %v", got)
	}
	for _, p := range ctkProjects {
		if n := len(p.of(cases)); n != p.cases {
			t.Errorf("%s has %d cases, want %d", p.name, n, p.cases)
		}
	}
}
