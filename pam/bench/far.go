package main

func (b *bed) far(options) error   { return nil }
func (b *bed) serve(options) error { return nil }
