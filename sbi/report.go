package sbi

// A Report is what a capture came to, for whoever keeps account of them. It
// says nothing that could be told from a biometric.
type Report struct {
	Purpose       Purpose
	Serial        string // of the device; "" when the request names none
	TransactionID string // "" when the request has none that is valid
	Positions     []string
	Scores        []string // one for each position; none when the capture failed
	Code          Code     // Success, or why not
	Begun         bool     // the scanner was asked, and nobody else had it
}

// report tells of a capture. A request that is not valid has no positions, and
// perhaps no device; one that was turned down before the scanner has not begun.
func (s *Server) report(req *captureRequest, elements []element, err error) {
	if s.cfg.Report == nil {
		return
	}
	r := Report{Purpose: s.cfg.Purpose, Code: CodeOf(err)}
	if req != nil {
		r.Serial, r.TransactionID, r.Begun = req.device.Serial, req.transactionID, req.begun
		for _, p := range req.capture.Positions {
			r.Positions = append(r.Positions, p.String())
		}
	}
	for _, e := range elements {
		r.Scores = append(r.Scores, e.quality)
	}
	s.cfg.Report(r)
}
