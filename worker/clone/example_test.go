package clone_test

import (
	"encoding/hex"
	"fmt"

	"paceline/worker/clone"
)

func ExampleClone() {
	list := []any{1}
	v, err := clone.Clone(map[string]any{"a": list, "b": list})
	if err != nil {
		fmt.Println(err)
		return
	}
	m := v.(map[string]any)
	m["a"].([]any)[0] = 2
	fmt.Println(list, m["b"]) // the original is as it was; the two are still one
	_, err = clone.Clone(map[string]any{"user": map[string]any{"onClick": func() {}}})
	fmt.Println(err)
	// Output:
	// [1] [2]
	// value.user.onClick: func() cannot be cloned
}

// What Node's v8.deserialize reads.
func ExampleMarshal() {
	data, err := clone.Marshal(struct {
		ID   int      `json:"id"`
		Tags []string `json:"tags"`
	}{7, []string{"a", "b"}})
	fmt.Println(hex.EncodeToString(data), err)
	// Output: ff0f6f22026964490e22047461677341022201612201622400027b02 <nil>
}

// What Node's v8.serialize({ id: 7, at: new Date(0), list: [1, 'x'] }) writes.
func ExampleUnmarshal() {
	data, err := hex.DecodeString("ff0f6f22026964490e220261744400000000000000002204" + "6c697374410249022201782400027b03")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(clone.Unmarshal(data))
	// Output: map[at:1970-01-01 00:00:00 +0000 UTC id:7 list:[1 x]] <nil>
}

func ExampleAs() {
	type user struct {
		Name string `json:"name"`
		Age  int    `json:"age"`
	}
	u, err := clone.As[user](map[string]any{"name": "Ann", "age": 40.0})
	fmt.Println(u, err)
	_, err = clone.As[user](map[string]any{"age": 40.5})
	fmt.Println(err)
	// Output:
	// {Ann 40} <nil>
	// value.age: the number 40.5 is no integer
}
