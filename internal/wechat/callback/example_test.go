package callback_test

import (
	"fmt"

	"minipush/internal/wechat/callback"
)

// A user agrees to one message of each of two templates. The platform calls, gets no answer in time, and calls again.
func ExampleEndpoint_Receive() {
	endpoint, err := callback.New(callback.Config{
		AppID: testAppID, EncodingAESKey: testKey, Mode: callback.ModeSafe, Now: at(testStamp), Token: testToken,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	message := []byte(message("1714112440", callback.EventPopup, "["+itemA+","+itemB+"]"))
	stored := map[string]bool{} // in truth a unique index on (app, key)
	for range 2 {
		query, body, err := endpoint.Compose(message) // what the simulator does
		if err != nil {
			fmt.Println(err)
			return
		}
		event, err := endpoint.Receive(query, body) // what the handler does
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, choice := range event.Popups {
			if choice.Accepted() && !stored[choice.Key] {
				stored[choice.Key] = true
				fmt.Println("one permit more for template", choice.TemplateID)
			}
		}
	}
	// Output:
	// one permit more for template A
	// one permit more for template B
}
