/* A module that always answers CODE: it stands for one that this machine does not have. */
#include <security/pam_modules.h>

#define ANSWER(name)                                                                \
	int name(pam_handle_t *pamh, int flags, int argc, const char **argv)        \
	{                                                                           \
		(void)pamh, (void)flags, (void)argc, (void)argv;                    \
		return CODE;                                                        \
	}

ANSWER(pam_sm_authenticate)
ANSWER(pam_sm_setcred)
ANSWER(pam_sm_acct_mgmt)
