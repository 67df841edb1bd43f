package store

import "testing"

func TestVaultsDoNotOverwriteEachOther(t *testing.T) {
	b := newBed(t)
	ana, eva := b.person("ana"), b.person("eva")
	set := func(user, from int64, text string) (int64, error) { return b.SetVault(b.ctx, user, from, []byte(text)) }
	version, err := set(ana, 0, "first")
	b.must(err)
	_, err = set(ana, 0, "another browser's first")
	b.refused("from nothing, when there is one", err, ErrVaultChanged)
	next, err := set(ana, version, "second")
	b.must(err)
	_, err = set(ana, version, "from an old one")
	b.refused("from an old one", err, ErrVaultChanged)
	if v, text, err := b.Vault(ana); err != nil || v != next || string(text) != "second" {
		t.Errorf("%d %q, %v", v, text, err)
	}
	if v, text, err := b.Vault(eva); err != nil || v != 0 || text != nil {
		t.Errorf("somebody else's: %d %q, %v", v, text, err)
	}
	_, err = b.SetVault(b.ctx, ana, next, make([]byte, MaxVault+1))
	b.refused("too large a one", err, ErrTooMany)
	b.must(b.LosePhone(b.ctx, ana, Attempt{}))
	if v, _, _ := b.Vault(ana); v != next {
		t.Error("a lost phone took the codes along")
	}
	b.must(b.RemoveVault(b.ctx, ana))
	_, err = set(ana, 0, "anew")
	b.must(err)
	b.must(b.RemoveUser(b.ctx, "ana"))
	if v, _, _ := b.Vault(ana); v != 0 {
		t.Error("a removed person's vault is there")
	}
}
