package api

import (
	"context"
	"io"
)

// SaveRequest asks that the list of apps be written to the file of saved apps,
// dump.json in the home folder. The one before stays as dump.json.bak.
type SaveRequest struct {
	Force bool `json:"force,omitempty"` // also if there are no apps; otherwise the file stays then
	Clear bool `json:"clear,omitempty"` // an empty list is saved, whatever there is
	PM2   bool `json:"pm2,omitempty"`   // dump.pm2 is written as well, in PM2's shape
}

// SaveReply tells what was saved.
type SaveReply struct {
	Apps  int      `json:"apps"`
	Files []string `json:"files"` // written, absolute; none: there are no apps, so nothing was
}

// ResurrectRequest asks for the saved apps whose names are not there. Those that
// were stopped when they were saved are listed as stopped.
type ResurrectRequest struct {
	PM2 bool `json:"pm2,omitempty"` // from dump.pm2 if there is no dump.json
}

// DecodeSave reads the body of OpSave. Errors: *Error with CodeInvalid.
func DecodeSave(r io.Reader) (q SaveRequest, err error) { return q, decode(r, &q) }

// DecodeResurrect reads the body of OpResurrect. Errors: *Error with CodeInvalid.
func DecodeResurrect(r io.Reader) (q ResurrectRequest, err error) { return q, decode(r, &q) }

// Save writes the file of saved apps.
func (c *Client) Save(ctx context.Context, q SaveRequest) (r SaveReply, err error) {
	return r, c.post(ctx, "/v1/save", q, &r)
}

// Resurrect starts the saved apps that are not there. A warning of the reply says
// what could not be read. Errors: as Start.
func (c *Client) Resurrect(ctx context.Context, q ResurrectRequest) (ActionReply, error) {
	return c.act(ctx, "/v1/resurrect", q)
}
