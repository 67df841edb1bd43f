/* A plugin of OpenVPN's that says yes to every password later, as duo_openvpn.so and Okta's defer_simple.so do. */
#include <openvpn/openvpn-plugin.h>
#include <stdio.h>
#include <string.h>

OPENVPN_EXPORT openvpn_plugin_handle_t openvpn_plugin_open_v1(unsigned int *types, const char *argv[], const char *envp[])
{
    static int handle;
    (void)argv, (void)envp;
    *types = OPENVPN_PLUGIN_MASK(OPENVPN_PLUGIN_AUTH_USER_PASS_VERIFY);
    return &handle;
}

OPENVPN_EXPORT int openvpn_plugin_func_v1(openvpn_plugin_handle_t handle, const int type, const char *argv[], const char *envp[])
{
    static const char name[] = "auth_control_file=";
    (void)handle, (void)type, (void)argv;
    for (; *envp; envp++) {
        if (strncmp(*envp, name, sizeof name - 1) == 0) {
            FILE *file = fopen(*envp + sizeof name - 1, "w");
            if (file == NULL || fputc('1', file) == EOF || fclose(file) != 0)
                return OPENVPN_PLUGIN_FUNC_ERROR;
            return OPENVPN_PLUGIN_FUNC_DEFERRED;
        }
    }
    return OPENVPN_PLUGIN_FUNC_ERROR;
}

OPENVPN_EXPORT void openvpn_plugin_close_v1(openvpn_plugin_handle_t handle) { (void)handle; }
