package otp

import "fmt"

// Ignored says, for each parameter that is not Standard's, which apps are known to take the usual value all the same, and so
// show codes that are never right. An app that is not named may do so, too: the first code tells.
//
// From what others tried and published: java-totp issue 30 (2020, 2021), google-authenticator issue 521 (2019),
// gwelch-contegix's table of apps (November 2022), Authelia's page on TOTP applications (2022), Otp.NET issues 54 and 62 (2023,
// 2024), privacyIDEA issue 709 (2017), and from what Keycloak offers Microsoft's and Google's app for.
func (p Parameters) Ignored() []string {
	const google = "Google Authenticator on Android"
	var all []string
	if p.Kind == HOTP {
		all = append(all, "codes that count: Microsoft Authenticator shows codes by the time all the same")
	}
	if p.Algorithm != SHA1 {
		all = append(all, fmt.Sprintf("%s: Microsoft Authenticator, Authy, Duo Mobile and, up to 2022, %s compute SHA1 all the same", p.Algorithm, google))
	}
	if p.Digits != Digits {
		all = append(all, fmt.Sprintf("%d digits: Microsoft Authenticator and, up to 2022, %s show %d all the same", p.Digits, google, Digits))
	}
	if usual := Standard().Period; p.Kind == TOTP && p.Period != usual {
		all = append(all, fmt.Sprintf("a period of %d s: Microsoft Authenticator and %s take %d s all the same", p.Period, google, usual))
	}
	return all
}
