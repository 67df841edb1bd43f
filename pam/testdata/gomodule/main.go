// Command gomodule is a PAM module in Go, built as a shared object by the test that shows why pam_latch.so is not one.
package main

/*
#include <security/_pam_types.h>
typedef const char **arguments;
*/
import "C"

import "net"

//export pam_sm_authenticate
func pam_sm_authenticate(handle *C.pam_handle_t, flags, argc C.int, argv C.arguments) C.int {
	// Nobody listens on port 9; "refused" is an answer, too.
	if conn, err := net.Dial("tcp", "127.0.0.1:9"); err == nil {
		conn.Close()
	}
	return C.PAM_SUCCESS
}

//export pam_sm_acct_mgmt
func pam_sm_acct_mgmt(handle *C.pam_handle_t, flags, argc C.int, argv C.arguments) C.int {
	return C.PAM_SUCCESS
}

func main() {}
