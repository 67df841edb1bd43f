package api

import "fmt"

// Error is the error object of an answer. It can stand beside data.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return fmt.Sprintf("the Latch server says %d: %q", e.Code, e.Message) }

// Error codes. 302 and 305 are latch-server's own.
const (
	ErrCodeBadAuthorization = 101
	ErrCodeSignature        = 102
	ErrCodeNoAuthorization  = 103
	ErrCodeNoDate           = 104
	ErrCodeCredentials      = 105
	ErrCodeOldClient        = 106
	ErrCodeUnsupported      = 107
	ErrCodeBadDate          = 108
	ErrCodeExpired          = 109
	ErrCodeUnauthorized     = 110
	ErrCodeNotPaired        = 201
	ErrCodeAccountName      = 202
	ErrCodePairing          = 203
	ErrCodeUnpairing        = 204
	ErrCodeAlreadyPaired    = 205
	ErrCodeToken            = 206
	ErrCodeAccountDisabled  = 207
	ErrCodeAccount          = 208
	ErrCodeNoOperation      = 301
	ErrCodeNoInstance       = 302
	ErrCodeNoTOTP           = 305
	ErrCodeTOTP             = 306
	ErrCodeMissingParameter = 401
	ErrCodeBadParameter     = 402
	ErrCodeNoToken          = 501
	ErrCodePush             = 601
	ErrCodeSubscription     = 701
	ErrCodeNoControl        = 1100
)

// known holds what a code means, in the service's words, and what the person who gets it can do.
var known = map[int]struct{ message, advice string }{
	ErrCodeBadAuthorization: {"Invalid Authorization header format", "this is a defect of the client; please report it"},
	ErrCodeSignature:        {"Invalid application signature", "app_id or secret_key is wrong: compare both with the application's page, then run `latch setup` again"},
	ErrCodeNoAuthorization:  {"Authorization header missing", "a proxy may have removed the header; ask without it"},
	ErrCodeNoDate:           {"Date header missing", "a proxy may have removed the header; ask without it"},
	ErrCodeCredentials:      {"Invalid credentials", "app_id or secret_key is wrong: run `latch setup` again"},
	ErrCodeOldClient:        {"Outdated client version", "set a newer api_version in latch.conf"},
	ErrCodeUnsupported:      {"Unsupported client version", "set a newer api_version in latch.conf"},
	ErrCodeBadDate:          {"Invalid date format", "this is a defect of the client; please report it"},
	ErrCodeExpired:          {"Request expired, date is too old", "set this machine's clock (timedatectl set-ntp true)"},
	ErrCodeUnauthorized:     {"Unauthorized client", "the application may not do this; the server's administrator can allow it"},
	ErrCodeNotPaired:        {"Account not paired", "the pairing was removed on the phone or at the server: run `latch unpair`, then pair again"},
	ErrCodeAccountName:      {"Invalid account name", "no account of that name exists"},
	ErrCodePairing:          {"Error pairing account", "ask for a new code and try again"},
	ErrCodeUnpairing:        {"Error unpairing account", "unpair on the phone"},
	ErrCodeAlreadyPaired:    {"Account and application already paired", "unpair on the phone, then pair again with a new code"},
	ErrCodeToken:            {"Token not found or expired", "the code is mistyped or older than its lifetime: ask the phone for a new one"},
	ErrCodeAccountDisabled:  {"Account not activated or disabled", "activate the account in the phone's app"},
	ErrCodeAccount:          {"Account error", "the account cannot be used; look in the phone's app"},
	ErrCodeNoOperation:      {"Application or Operation not found", "the operation id in latch.conf is not the application's: compare it with `latch operation list`"},
	ErrCodeNoInstance:       {"Instance not found", "the instance was removed; create it again"},
	ErrCodeNoTOTP:           {"Totp not found", "enrol again"},
	ErrCodeTOTP:             {"Invalid totp code", "wait for the next code and type that one"},
	ErrCodeMissingParameter: {"Missing parameter in API call", "this is a defect of the client; please report it"},
	ErrCodeBadParameter:     {"Invalid parameter value", "the server does not take that value; choose another"},
	ErrCodeNoToken:          {"There isn't a token generated for this operation and user account", "ask for the status first"},
	ErrCodePush:             {"Push notification error", "open the phone's app by hand"},
	ErrCodeSubscription:     {"The account has been paired but has been marked as disabled", "the plan's limit of users is reached: see the application's subscription"},
	ErrCodeNoControl:        {"Authorization control not found", "the id is wrong or the control is gone"},
}

// Message returns the service's text for a code, "" for one that is not known.
func Message(code int) string { return known[code].message }

// Advice returns what to do about a code. Codes that are not known get a sentence too.
func Advice(code int) string {
	if k, ok := known[code]; ok {
		return k.advice
	}
	return "this code is not known; look it up with the server's operator"
}

// Codes returns every known code.
func Codes() []int {
	codes := make([]int, 0, len(known))
	for code := range known {
		codes = append(codes, code)
	}
	return codes
}
