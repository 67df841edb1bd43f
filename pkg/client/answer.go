package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/latch-linux/latch/pkg/api"
)

// answer is an answer without an error object.
type answer struct {
	data json.RawMessage // nil for none
	date time.Time       // the server's clock, zero if it did not say
}

func succeeded(resp *http.Response) bool { return resp.StatusCode >= 200 && resp.StatusCode <= 299 }

// readAnswer takes an HTTP answer apart. The Latch API sends its errors with status 200.
func readAnswer(resp *http.Response, body []byte, limit int64) (answer, error) {
	date, _ := http.ParseTime(resp.Header.Get("Date"))
	switch status := resp.StatusCode; {
	case resp.ProtoMajor != 1:
		return answer{}, badAnswer("an answer in %q", resp.Proto)
	case status == http.StatusNoContent:
		return answer{date: date}, nil
	case !succeeded(resp):
		return answer{}, badStatus(status, "")
	case int64(len(body)) > limit:
		return answer{}, badAnswer("an answer of more than %d bytes", limit)
	}
	fields, err := object(body)
	if err != nil {
		return answer{}, badAnswer("the answer is no JSON object: %w", err)
	}
	data := present(fields["data"])
	if raw := present(fields["error"]); raw != nil {
		return answer{data: data}, answerError(errorOf(raw), date)
	}
	return answer{data, date}, nil
}

// errorOf reads an error object. One of another form is still an error, of no known code.
func errorOf(raw json.RawMessage) *api.Error {
	e := &api.Error{}
	if fields, err := object(raw); err == nil {
		_ = json.Unmarshal(fields["message"], &e.Message)
		if json.Unmarshal(fields["code"], &e.Code) != nil {
			e.Code = 0
		}
	}
	return e
}

// present returns nil for a missing value and for null.
func present(raw json.RawMessage) json.RawMessage {
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return raw
}

// object reads a JSON object with exact names. Structs would take "STATUS" for "status", and the last of two
// equal names; an answer that could be read in two ways is none.
func object(raw []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if token, err := dec.Token(); err == nil && token != json.Delim('{') {
		return nil, errors.New("no object")
	} else if err != nil {
		return nil, err
	}
	fields := map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		key, _ := name.(string)
		if _, twice := fields[key]; twice {
			return nil, errors.New("a name stands twice")
		}
		fields[key] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something follows the object")
	}
	return fields, nil
}

// Status is the answer to whether somebody may enter.
type Status struct {
	Open      bool
	Token     string    // one-time token, "" if the server made none
	TokenTime time.Time // when it was made, by this machine's clock as far as the server's Date tells
	// Offset is by how much the server's clock is ahead of this machine's, where the date had to be corrected.
	Offset time.Duration
}

// readStatus reads the node that was asked for, and no other. A token counts beside "on" alone, and where one was
// asked for: whatever else stands there makes an answer that is plain neither wrong nor different.
func readStatus(data json.RawMessage, id string, wantsToken bool) (Status, error) {
	fields, err := object(data)
	if err != nil {
		return Status{}, badAnswer("the status answer has no data: %w", err)
	}
	nodes, err := object(fields["operations"])
	if err != nil {
		return Status{}, badAnswer("the status answer has no operations: %w", err)
	}
	node, err := object(nodes[id])
	if err != nil {
		return Status{}, badAnswer("the status answer has no node for what was asked: %w", err)
	}
	var word string
	if err := json.Unmarshal(node["status"], &word); err != nil || (word != api.StatusOn && word != api.StatusOff) {
		return Status{}, badAnswer("the status is neither on nor off")
	}
	s := Status{Open: word == api.StatusOn}
	if raw := present(node["two_factor"]); raw != nil && s.Open && wantsToken {
		return s.withToken(raw)
	}
	return s, nil
}

func (s Status) withToken(raw json.RawMessage) (Status, error) {
	fields, err := object(raw)
	if err != nil {
		return Status{}, badAnswer("two_factor is no object: %w", err)
	}
	var made int64
	if json.Unmarshal(fields["token"], &s.Token) != nil || !api.ValidToken(s.Token) || json.Unmarshal(present(fields["generated"]), &made) != nil {
		return Status{}, badAnswer("two_factor has no token of %d letters and digits with its time", api.TokenLength)
	}
	s.TokenTime = time.UnixMilli(made)
	return s, nil
}
