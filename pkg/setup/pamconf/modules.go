package pamconf

import (
	"slices"
	"strings"
)

// What modules answer, from their manual pages. A checker is a module that compares a secret which somebody typed or
// carries, so its failure is a guess that must not reach the phone.
var checkers = map[string]bool{
	"pam_unix.so": true, "pam_unix2.so": true, "pam_tcb.so": true, "pam_sss.so": true, "pam_sss_gss.so": true,
	"pam_ldap.so": true, "pam_ldapd.so": true, "pam_krb5.so": true, "pam_winbind.so": true, "pam_systemd_home.so": true,
	"pam_userdb.so": true, "pam_pwdfile.so": true, "pam_radius_auth.so": true, "pam_tacplus.so": true, "pam_mysql.so": true,
	"pam_pgsql.so": true, "pam_himmelblau.so": true, "pam_aad.so": true, "pam_authd.so": true, "pam_authd_exec.so": true,
	"pam_google_authenticator.so": true, "pam_oath.so": true, "pam_u2f.so": true, "pam_yubico.so": true,
	"pam_fprintd.so": true, "pam_pkcs11.so": true, "pam_p11.so": true, "pam_duo.so": true, "pam_ssh_agent_auth.so": true,
	"pam_howdy.so": true, "pam_rhosts.so": true, "pam_timestamp.so": true, "pam_kanidm.so": true,
}

// neutral modules look at other things than a secret.
var neutral = map[string]bool{
	"pam_access.so": true, "pam_cap.so": true, "pam_cgroup.so": true, "pam_debug.so": true, "pam_echo.so": true,
	"pam_ecryptfs.so": true, "pam_env.so": true, "pam_exec.so": true, "pam_faildelay.so": true, "pam_faillock.so": true,
	"pam_filter.so": true, "pam_ftp.so": true, "pam_fscrypt.so": true, "pam_gdm.so": true, "pam_gnome_keyring.so": true,
	"pam_group.so": true, "pam_issue.so": true, "pam_keyinit.so": true, "pam_kwallet.so": true, "pam_kwallet5.so": true,
	"pam_lastlog.so": true, "pam_limits.so": true, "pam_listfile.so": true, "pam_localuser.so": true,
	"pam_loginuid.so": true, "pam_mail.so": true, "pam_mkhomedir.so": true, "pam_motd.so": true, "pam_mount.so": true,
	"pam_namespace.so": true, "pam_nologin.so": true, "pam_oddjob_mkhomedir.so": true, "pam_pwquality.so": true,
	"pam_script.so": true, "pam_securetty.so": true, "pam_selinux.so": true, "pam_selinux_permit.so": true,
	"pam_sepermit.so": true, "pam_setquota.so": true, "pam_shells.so": true, "pam_slurm.so": true, "pam_slurm_adopt.so": true,
	"pam_succeed_if.so": true, "pam_systemd.so": true, "pam_tally.so": true, "pam_tally2.so": true, "pam_time.so": true,
	"pam_tty_audit.so": true, "pam_umask.so": true, "pam_usertype.so": true, "pam_warn.so": true, "pam_wheel.so": true,
	"pam_xauth.so": true,
}

// excuses reports whether success of the step means that root itself called, who needs no password anywhere.
func excuses(s Step) bool {
	switch s.Rule.Base() {
	case "pam_rootok.so":
		return true
	case "pam_succeed_if.so":
		args := slices.DeleteFunc(slices.Clone(s.Rule.Args), func(a string) bool { return a == "quiet" || a == "use_uid" })
		return slices.Contains(s.Rule.Args, "use_uid") && slices.Equal(args, []string{"uid", "=", "0"})
	}
	return false
}

// firm modules never abstain (pam_unix_auth.c, pam_unix_acct.c, pam_fprintd.c return no PAM_IGNORE).
var firm = map[string]bool{"pam_unix.so": true, "pam_fprintd.so": true}

// checks returns a function that reports whether a step checks a secret. If no known module does, unknown modules count
// as checkers.
func (s *Stack) checks() func(Step) bool {
	known := func(step Step) bool { return !step.opens && !step.fails && checkers[step.Rule.Base()] }
	if slices.ContainsFunc(s.Steps, known) {
		return known
	}
	return func(step Step) bool {
		return !step.opens && !step.fails && !neutral[step.Rule.Base()] && !fixed(step) && !excuses(step) && !step.Rule.IsLatch()
	}
}

// wrongSecret answers as modules do to somebody who has no right secret.
func (s *Stack) wrongSecret() Answers {
	checks := s.checks()
	return func(step Step) []Code {
		codes := anything(step)
		if excuses(step) || checks(step) {
			codes = slices.DeleteFunc(codes, func(c Code) bool {
				return c == Success || c == NewAuthtokReqd || c == Ignore && !mayAbstain(step)
			})
		}
		return codes
	}
}

// mayAbstain reports whether a checker was told to have no say about people that it does not know or cannot ask about, as
// with pam_sss's ignore_unknown_user, pam_krb5's ignore_root, pam_google_authenticator's nullok and pam_u2f's nouserok.
func mayAbstain(step Step) bool {
	return !firm[step.Rule.Base()] && slices.ContainsFunc(step.Rule.Args, func(a string) bool {
		return strings.HasPrefix(a, "ignore") || a == "nullok" || a == "nouserok"
	})
}

func fixed(step Step) bool {
	return step.Rule.Base() == "pam_permit.so" || step.Rule.Base() == "pam_deny.so"
}

// anything returns the codes that the module may return about any user.
func anything(step Step) []Code {
	base := step.Rule.Base()
	switch {
	case excuses(step):
		return []Code{Success, AuthErr}
	case step.Rule.IsLatch() && step.Rule.Phase == Account:
		return []Code{Success, Ignore, PermDenied}
	case step.Rule.IsLatch():
		return []Code{Success, Ignore, AuthErr}
	case base == "pam_permit.so":
		return []Code{Success}
	case base == "pam_deny.so":
		return []Code{AuthErr, PermDenied}
	}
	never := []Code{Incomplete}
	if firm[base] {
		never = append(never, Ignore)
	}
	if neutral[base] || step.Rule.Phase == Auth && (firm[base] || step.control[NewAuthtokReqd] == ActBad || step.control[NewAuthtokReqd] == ActDie) {
		// The module that stores the password returns it, in the account phase. As the result of the auth phase, pam_authenticate(3)
		// does not know it, and hosts refuse.
		never = append(never, NewAuthtokReqd)
	}
	return step.control.distinct(never)
}

// distinct returns one code for each way in which a control takes the codes, but those that the module never returns.
// Apart from the action it counts only whether the code lets somebody in.
func (c Control) distinct(never []Code) []Code {
	type way struct {
		action  Action
		success bool
		change  bool
	}
	known := map[way]bool{}
	var all []Code
	for i, action := range c {
		code := Code(i)
		w := way{action, code == Success, code == NewAuthtokReqd}
		if !slices.Contains(never, code) && !known[w] {
			known[w] = true
			all = append(all, code)
		}
	}
	return all
}
