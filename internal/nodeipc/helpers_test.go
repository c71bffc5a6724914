package nodeipc

func daemonMain() error  { return nil }
func primaryMain() error { return nil }
