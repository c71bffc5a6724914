package ecosystem

// addStatic takes one entry of `static`.
func (l *loader) addStatic(d *draft, v value) {
	l.problem(d, Problem{Line: v.line, Message: "static folders are not there yet; start the file server that you have as an app"})
}
