package api

import (
	"encoding/json"
	"errors"
)

// Answer is what a server sends: data, an error, or both.
type Answer struct {
	Data  any    `json:"data,omitempty"`
	Error *Error `json:"error,omitempty"`
}

// Response is an answer as a client takes it apart: data stays raw until the error is known.
type Response struct {
	Data  json.RawMessage `json:"data"`
	Error *Error          `json:"error"`
}

// Pairing answers pair and pairWithId.
type Pairing struct {
	AccountID string `json:"accountId"`
}

// TwoFactor is a one-time token. token comes first: some clients search the text for it.
type TwoFactor struct {
	Token     string `json:"token"`
	Generated int64  `json:"generated"` // ms since 1970 UTC
}

// StatusNode is one latch in a status answer.
type StatusNode struct {
	Status     string                `json:"status"` // StatusOn or StatusOff
	TwoFactor  *TwoFactor            `json:"two_factor,omitempty"`
	Operations map[string]StatusNode `json:"operations,omitempty"`
}

// StatusData answers status, keyed by the id that was asked for.
type StatusData struct {
	Operations map[string]StatusNode `json:"operations"`
}

// Operation is an operation as the operation calls know it.
type Operation struct {
	Name          string               `json:"name"`
	TwoFactor     string               `json:"two_factor"`
	LockOnRequest string               `json:"lock_on_request"`
	Operations    map[string]Operation `json:"operations"`
}

// OperationsData answers GET operation.
type OperationsData struct {
	Operations map[string]Operation `json:"operations"`
}

// OperationCreated answers PUT operation.
type OperationCreated struct {
	OperationID string `json:"operationId"`
}

// Instance is one instance, in the unwrapped map that answers GET instance.
type Instance struct {
	Name          string `json:"name"`
	TwoFactor     string `json:"two_factor"`
	LockOnRequest string `json:"lock_on_request"`
}

// InstancesCreated answers PUT instance: id to name.
type InstancesCreated struct {
	Instances map[string]string `json:"instances"`
}

// TOTPIdentity is whose TOTP it is.
type TOTPIdentity struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// TOTP answers the totps calls. Secret, URI and QR come with the creation alone.
type TOTP struct {
	TOTPID    string        `json:"totpId"`
	Secret    string        `json:"secret,omitempty"` // base32
	URI       string        `json:"uri,omitempty"`    // otpauth://
	QR        string        `json:"qr,omitempty"`     // data:image/png;base64,…
	Issuer    string        `json:"issuer"`
	Digits    int           `json:"digits"`
	Period    int           `json:"period"` // seconds
	Algorithm string        `json:"algorithm"`
	Identity  *TOTPIdentity `json:"identity,omitempty"`
	CreatedAt int64         `json:"createdAt"` // ms
}

// ControlStatus answers control-status.
type ControlStatus struct {
	Status string `json:"status"`
}

// Use is how much of a plan is used; Limit -1 is no limit.
type Use struct {
	InUse int `json:"inUse"`
	Limit int `json:"limit"`
}

// Subscription is a plan and its use; Operations are keyed by application name.
type Subscription struct {
	ID           string         `json:"id"`
	Applications Use            `json:"applications"`
	Operations   map[string]Use `json:"operations"`
	Users        Use            `json:"users"`
}

// SubscriptionData answers subscription.
type SubscriptionData struct {
	Subscription Subscription `json:"subscription"`
}

// Application is an application in the user API. It holds its secret.
type Application struct {
	Name          string               `json:"name"`
	TwoFactor     string               `json:"two_factor"`
	LockOnRequest string               `json:"lock_on_request"`
	Secret        string               `json:"secret"`
	ContactPhone  string               `json:"contactPhone"`
	ContactEmail  string               `json:"contactEmail"`
	ImageURL      string               `json:"imageUrl"`
	Operations    map[string]Operation `json:"operations"`
}

// ApplicationsData answers GET application.
type ApplicationsData struct {
	Operations map[string]Application `json:"operations"`
}

// ApplicationCreated answers PUT application.
type ApplicationCreated struct {
	ApplicationID string `json:"applicationId"`
	Secret        string `json:"secret"`
}

// HistoryEntry is one line of a history.
type HistoryEntry struct {
	Time      int64  `json:"t"`      // ms
	Action    string `json:"action"` // get, USER_UPDATE, DEVELOPER_UPDATE
	What      string `json:"what"`
	Value     string `json:"value"`
	Was       string `json:"was,omitempty"`
	Name      string `json:"name"`
	UserAgent string `json:"userAgent"`
	IP        string `json:"ip"`
	Count     int    `json:"count,omitempty"` // latch-server only: equal refused attempts that the entry stands for, if several
}

// HistoryOperation is an operation as a history shows it.
type HistoryOperation struct {
	Name          string                      `json:"name"`
	Status        string                      `json:"status"`
	TwoFactor     string                      `json:"two_factor"`
	LockOnRequest string                      `json:"lock_on_request"`
	Operations    map[string]HistoryOperation `json:"operations"`
}

// HistoryApplication is the application as a history shows it.
type HistoryApplication struct {
	Status             string                      `json:"status"`
	PairedOn           int64                       `json:"pairedOn"` // ms
	Name               string                      `json:"name"`
	Description        string                      `json:"description"`
	ImageURL           string                      `json:"imageURL"`
	ContactPhone       string                      `json:"contactPhone"`
	ContactEmail       string                      `json:"contactEmail"`
	TwoFactor          string                      `json:"two_factor"`
	LockOnRequest      string                      `json:"lock_on_request"`
	StatusLastModified int64                       `json:"statusLastModified"` // ms
	Operations         map[string]HistoryOperation `json:"operations"`
}

// ClientVersion is an app that the person uses.
type ClientVersion struct {
	Platform string `json:"platform"`
	App      string `json:"app"`
}

// History answers history. On the wire the application stands under its own id, beside the other names.
type History struct {
	AppID         string
	Application   HistoryApplication
	LastSeen      int64 // ms
	ClientVersion []ClientVersion
	Count         int
	Entries       []HistoryEntry
}

// historyRest is what stands beside the application.
type historyRest struct {
	LastSeen      int64           `json:"lastSeen"`
	ClientVersion []ClientVersion `json:"clientVersion"`
	Count         int             `json:"count"`
	Entries       []HistoryEntry  `json:"history"`
}

// MarshalJSON writes the wire's form.
func (h History) MarshalJSON() ([]byte, error) {
	app, err := json.Marshal(map[string]HistoryApplication{h.AppID: h.Application})
	if err != nil {
		return nil, err
	}
	rest, err := json.Marshal(historyRest{h.LastSeen, h.ClientVersion, h.Count, h.Entries})
	if err != nil {
		return nil, err
	}
	return append(append(app[:len(app)-1], ','), rest[1:]...), nil
}

// UnmarshalJSON reads the wire's form. The application is the one name that has the form of an id.
func (h *History) UnmarshalJSON(data []byte) error {
	var rest historyRest
	if err := json.Unmarshal(data, &rest); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*h = History{LastSeen: rest.LastSeen, ClientVersion: rest.ClientVersion, Count: rest.Count, Entries: rest.Entries}
	for name, raw := range all {
		if !ValidAppID(name) {
			continue
		}
		if h.AppID != "" {
			return errors.New("a history of two applications")
		}
		h.AppID = name
		if err := json.Unmarshal(raw, &h.Application); err != nil {
			return err
		}
	}
	return nil
}
