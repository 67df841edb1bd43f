// A module that returns what its argument says and tells its host that it was called: pam_say.so CODE NAME
#include <security/pam_modules.h>
#include <security/pam_ext.h>
#include <stdlib.h>

static int say(pam_handle_t *pamh, int argc, const char **argv)
{
	if (argc < 2)
		return PAM_ABORT;
	pam_info(pamh, "%s", argv[1]);
	return atoi(argv[0]);
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return say(pamh, argc, argv);
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_SUCCESS;
}

int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return say(pamh, argc, argv);
}
